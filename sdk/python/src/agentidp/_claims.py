"""Access tokens (RFC 9068): the claims and what must hold of them."""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ._json import NotStrictError, integer, read_object, texts
from ._jws import MAX_TOKEN, Document, read_document
from .errors import TokenRefusedError

_RESERVED = frozenset(
    [
        "agents",
        "audit",
        "credentials",
        "decisions",
        "keys",
        "organizations",
        "policies",
        "revocations",
        "sidecars",
        "tokens",
    ]
)  # resources of the management API
_MAX_CAPABILITY = 128
_SIDE = re.compile(r"\*|[a-z0-9][a-z0-9._/-]*")
_MAX_IDENTITY = 256  # bytes of sub, client_id, jti, org
_MAX_REFERENCE = 2 << 10  # bytes of iss and each member of aud
_MAX_TIME = 253402300799  # 9999-12-31T23:59:59Z


@dataclass(frozen=True)
class Status:
    """Where a token stands in a Token Status List."""

    uri: str
    index: int


@dataclass(frozen=True)
class Claims:
    """What a verified token says. Times are Unix seconds."""

    issuer: str
    subject: str
    """The agentId."""
    audience: tuple[str, ...]
    client_id: str
    scope: str
    """Capabilities separated by single spaces (RFC 6749 section 3.3); may be empty."""
    issued_at: int
    expires_at: int
    not_before: int | None
    jti: str
    organization: str
    rev: tuple[int, int, int]
    """Revocation epochs of organization, agent and credential."""
    status: Status | None
    kid: str
    """The key that verified it."""

    @property
    def scopes(self) -> frozenset[str]:
        """The members of the scope."""
        return frozenset(self.scope.split())

    def has_scope(self, capability: str) -> bool:
        """Whether the token covers a capability `resource:action`: by itself, `resource:*`, `*:action` or `*:*`.

        What the management API is about is covered by its own name alone, never by `*`.
        """
        demanded = _capability(capability)
        held = [_capability(member) for member in self.scope.split(" ")]
        if demanded is None or None in held:
            return False  # a scope with a member that is no capability covers nothing
        resource, action = demanded
        covering = {demanded, (resource, "*")}
        if resource not in _RESERVED:
            covering |= {("*", action), ("*", "*")}
        return not covering.isdisjoint(held)


def _capability(text: str) -> tuple[str, str] | None:
    resource, _, action = text.partition(":")
    good = len(text) <= _MAX_CAPABILITY and _SIDE.fullmatch(resource) and _SIDE.fullmatch(action)
    return (resource, action) if good else None


@dataclass(frozen=True)
class Rules:
    """What a token must be to be good."""

    issuer: str
    audience: str
    max_lifetime: int
    """Seconds from iat to exp."""
    leeway: int
    """Seconds that clocks may differ."""
    now: Callable[[], float]
    """Unix seconds."""

    def read(self, raw: str) -> tuple[Document, Claims]:
        """Everything but the signature and the values. TokenRefusedError."""
        document = read_document(raw, "at+jwt", MAX_TOKEN)
        return document, _parse(document)

    def check(self, claims: Claims) -> None:
        """The values, of a token whose signature is good. TokenRefusedError."""
        now = self.now()
        if not _equal(claims.issuer, self.issuer):
            raise TokenRefusedError("issuer_mismatch")
        if not any(_equal(audience, self.audience) for audience in claims.audience):
            raise TokenRefusedError("audience_mismatch")
        if now - self.leeway >= claims.expires_at:
            raise TokenRefusedError("expired")
        if max(claims.not_before or 0, claims.issued_at) > now + self.leeway:
            raise TokenRefusedError("not_yet_valid")
        if not 0 < claims.expires_at - claims.issued_at <= self.max_lifetime:
            raise TokenRefusedError("lifetime", "exp is not after iat, or too long after")


def _equal(a: str, b: str) -> bool:
    return hmac.compare_digest(a.encode(), b.encode())


def _parse(document: Document) -> Claims:
    try:
        members = read_object(document.payload)
    except NotStrictError as error:
        raise TokenRefusedError("malformed", "claims") from error
    audience = (members["aud"],) if isinstance(members.get("aud"), str) else texts(members.get("aud"))
    if not audience or not all(_printable(one, _MAX_REFERENCE) for one in audience):
        raise TokenRefusedError("claims_invalid", "aud")
    scope = members.get("scope", "")
    if not _is_scope(scope):
        raise TokenRefusedError("claims_invalid", "scope")
    return Claims(
        issuer=_text(members, "iss", _MAX_REFERENCE),
        subject=_text(members, "sub"),
        audience=audience,
        client_id=_text(members, "client_id"),
        scope=scope,
        issued_at=_instant(members, "iat"),
        expires_at=_instant(members, "exp"),
        not_before=_instant(members, "nbf") if "nbf" in members else None,
        jti=_text(members, "jti"),
        organization=_text(members, "org"),
        rev=_rev(members),
        status=_status(members),
        kid=document.kid,
    )


def _text(members: dict[str, Any], name: str, limit: int = _MAX_IDENTITY) -> str:
    value = members.get(name)
    if not isinstance(value, str) or not _printable(value, limit):
        raise TokenRefusedError("claims_invalid", name)
    return value


def _printable(value: str, limit: int) -> bool:
    """Keeps out control characters: these strings go into headers and logs."""
    return 0 < len(value.encode()) <= limit and not any(c < " " or "\x7f" <= c < "\xa0" for c in value)


def _is_scope(value: Any) -> bool:
    """Empty, or scope-tokens separated by single spaces (RFC 6749 section 3.3)."""
    if not isinstance(value, str):
        return False
    return value == "" or all(
        token != "" and all("!" <= c <= "~" and c not in '"\\' for c in token) for token in value.split(" ")
    )


def _instant(members: dict[str, Any], name: str) -> int:
    seconds = integer(members.get(name))
    if seconds is None or not 0 < seconds <= _MAX_TIME:
        raise TokenRefusedError("claims_invalid", name)
    return seconds


def _rev(members: dict[str, Any]) -> tuple[int, int, int]:
    value = members.get("rev")
    if isinstance(value, list) and len(value) == 3:
        epochs = [epoch for epoch in map(integer, value) if epoch is not None and epoch >= 0]
        if len(epochs) == 3:
            return (epochs[0], epochs[1], epochs[2])
    raise TokenRefusedError("claims_invalid", "rev")


def _status(members: dict[str, Any]) -> Status | None:
    """Other mechanisms than a list may stand in the claim."""
    if "status" not in members:
        return None
    claim = members["status"]
    if isinstance(claim, dict):
        if "status_list" not in claim:
            return None
        place = claim["status_list"]
        if isinstance(place, dict):
            index, uri = integer(place.get("idx")), place.get("uri")
            if index is not None and index >= 0 and isinstance(uri, str) and _printable(uri, _MAX_REFERENCE):
                return Status(uri, index)
    raise TokenRefusedError("claims_invalid", "status")
