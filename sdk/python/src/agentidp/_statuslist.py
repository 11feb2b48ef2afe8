"""Token Status Lists (draft-ietf-oauth-status-list)."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from ._json import NotStrictError, integer, read_object
from ._jws import Document, decode_segment, read_document
from ._wire import Answer
from .errors import InvalidAnswerError, TokenRefusedError

MAX_ANSWER = 512 << 10
_MAX_LIST = 1 << 20  # bytes when it is unpacked
_DEFAULT_TTL = 15


@dataclass(frozen=True)
class StatusList:
    """Which tokens are dead: one bit a token."""

    bits: bytes
    expires_at: int
    """Unix seconds."""
    ttl: int
    """Seconds to keep it."""

    def dead(self, index: int) -> bool:
        """IndexError beyond the list."""
        return self.bits[index // 8] >> (index % 8) & 1 == 1


def read_answer(answer: Answer) -> Document:
    """The signed list. Nothing in it is proved."""
    if answer.status != 200 or len(answer.body) > MAX_ANSWER:
        raise InvalidAnswerError(f"status {answer.status}, or longer than 512 KiB")
    try:
        return read_document(answer.body.decode("ascii"), "statuslist+jwt", MAX_ANSWER)
    except (TokenRefusedError, UnicodeDecodeError) as error:
        raise InvalidAnswerError("the status list is no signed document") from error


def parse_list(payload: bytes, uri: str) -> StatusList:
    """The list of a document whose signature is good."""
    try:
        claims = read_object(payload)
    except NotStrictError as error:
        raise InvalidAnswerError("the status list is not strict JSON") from error
    packed, expires_at = claims.get("status_list"), integer(claims.get("exp"))
    if claims.get("sub") != uri or expires_at is None or not isinstance(packed, dict) or packed.get("bits") != 1:
        raise InvalidAnswerError("the status list is of another address, has no end, or is not of one bit a token")
    ttl = integer(claims.get("ttl", _DEFAULT_TTL))
    return StatusList(_unpack(packed.get("lst")), expires_at, max(_DEFAULT_TTL if ttl is None else ttl, 1))


def _unpack(text: object) -> bytes:
    data = decode_segment(text) if isinstance(text, str) else None
    try:
        unpacker = zlib.decompressobj()
        bits = unpacker.decompress(data or b"", _MAX_LIST + 1)
    except zlib.error as error:
        raise InvalidAnswerError("the status list cannot be unpacked") from error
    if not unpacker.eof or len(bits) > _MAX_LIST:
        raise InvalidAnswerError("the status list is not whole, or larger than 1 MiB")
    return bits
