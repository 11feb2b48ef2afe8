"""Signed documents in compact form (RFC 7515): RS256 and canonical base64url only. One document has one spelling."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from ._json import NotStrictError, read_object
from .errors import TokenRefusedError

MAX_TOKEN = 8 << 10
MAX_KEY_ID = 128
_MAX_HEADER = 2 << 10
_FORBIDDEN = {"crit", "b64", "zip", "jwk", "jku", "x5u", "x5c"}

_signatures = jwt.PyJWS(algorithms=["RS256"])

FindKey = Callable[[str], RSAPublicKey]
"""The key with exactly this kid, or KeyError. The kid is attacker-chosen."""


def decode_segment(segment: str) -> bytes | None:
    """The bytes of canonical, unpadded base64url; None for any other text."""
    if not segment.isascii() or "=" in segment:
        return None
    try:
        decoded = base64.b64decode(segment + "=" * (-len(segment) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    return decoded if encode_segment(decoded) == segment else None


def encode_segment(data: bytes) -> str:
    """Unpadded base64url."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass(frozen=True)
class Document:
    """A document whose form and header are right. Nothing in it is proved before `verify`."""

    raw: str
    kid: str
    payload: bytes

    def verify(self, find: FindKey) -> None:
        """Holds the signature against the key with the kid. TokenRefusedError: unknown_key, signature."""
        try:
            key = find(self.kid)
        except KeyError:
            raise TokenRefusedError("unknown_key") from None
        try:
            _signatures.decode(self.raw, key, algorithms=["RS256"])
        except jwt.InvalidTokenError:
            raise TokenRefusedError("signature") from None


def read_document(raw: str, kind: str, limit: int) -> Document:
    """Cuts and judges a document of at most limit bytes before any key is looked up. `kind` is its typ, without
    `application/`. The algorithm is never chosen by the document, a key never comes from it (RFC 8725 section 3)."""
    if len(raw.encode(errors="surrogatepass")) > limit:
        raise TokenRefusedError("oversize", "longer than the bound")
    segments = raw.split(".")
    if len(segments) != 3 or not all(segments):
        raise TokenRefusedError("malformed", "not exactly three segments")
    if len(segments[0]) * 3 // 4 > _MAX_HEADER:
        raise TokenRefusedError("oversize", "header longer than the bound")
    header, payload, signature = map(decode_segment, segments)
    if header is None or payload is None or signature is None:
        raise TokenRefusedError("malformed", "segment is not canonical base64url")
    kid = _judge(header, kind)
    return Document(raw, kid, payload)


def _judge(segment: bytes, kind: str) -> str:
    try:
        header: dict[str, Any] = read_object(segment)
    except NotStrictError as error:
        raise TokenRefusedError("malformed", "header") from error
    if header.get("alg") != "RS256":
        raise TokenRefusedError("algorithm", "alg is not RS256")
    if _FORBIDDEN & header.keys():
        raise TokenRefusedError("critical_header", "header has crit, b64, zip or a key")
    if not _is_kind(header.get("typ"), kind):
        raise TokenRefusedError("type_mismatch", "typ names another kind of document")
    kid = header.get("kid")
    if not isinstance(kid, str) or not 0 < len(kid.encode()) <= MAX_KEY_ID:
        raise TokenRefusedError("malformed", "kid must be a string of 1 to 128 bytes")
    return kid


def _is_kind(got: Any, want: str) -> bool:
    """Media types: ASCII in either case, `application/` may be left out (RFC 7515 section 4.1.9)."""
    if not isinstance(got, str) or not got.isascii():
        return False
    return got.lower() in (want, f"application/{want}")
