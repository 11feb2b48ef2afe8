"""The revocation feed's answers."""

from __future__ import annotations

from ._decode import decode
from ._jwks import parse_jwks
from ._jws import read_document
from ._wire import read_json
from .errors import InvalidAnswerError, TokenRefusedError
from .models import RevocationPage

_LIMIT = 16 << 20


def parse_news(body: bytes) -> RevocationPage | None:
    """What is new behind a cursor; None when it is a signed snapshot."""
    return decode(RevocationPage, read_json(body)) if body.startswith(b"{") else None


def parse_snapshot(signed: bytes, jwks: bytes, issuer: str) -> RevocationPage:
    """A snapshot that is signed by a key of the set. InvalidAnswerError."""
    keys = parse_jwks(jwks)
    try:
        document = read_document(signed.decode("ascii"), "agentidp-revocations+jwt", _LIMIT)
        document.verify(keys.__getitem__)
        payload = read_json(document.payload)
    except (TokenRefusedError, UnicodeDecodeError) as error:
        raise InvalidAnswerError("the snapshot of the revocations is not signed by the IdP") from error
    if not isinstance(payload, dict) or payload.get("iss") != issuer:
        raise InvalidAnswerError("the snapshot of the revocations is another IdP's")
    return decode(RevocationPage, payload)
