"""A request's credential, and what it is refused with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ._claims import Claims
from .errors import AgentIdPError, MissingScopeError, MissingTokenError, TokenRefusedError, UnavailableError


def credential(authorizations: Sequence[str]) -> str:
    """The token of all Authorization fields of a request. MissingTokenError."""
    if len(authorizations) != 1:
        raise MissingTokenError("the request has no credential, or more than one")
    scheme, _, token = authorizations[0].strip().partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token or " " in token or "," in token:
        raise MissingTokenError("the credential is not one Bearer token")
    return token


def demand(claims: Claims, capability: str) -> None:
    """MissingScopeError when the token does not cover it; an empty one is none."""
    if capability and not claims.has_scope(capability):
        raise MissingScopeError(capability)


@dataclass(frozen=True)
class Refusal:
    """An answer, in the sidecar's form."""

    status: int
    headers: dict[str, str]
    body: dict[str, Any]


def refused(error: AgentIdPError) -> Refusal:
    """The answer to a request whose token is not good enough (RFC 6750 section 3)."""
    if isinstance(error, TokenRefusedError):
        challenge = 'Bearer error="invalid_token"'
        return _refusal(401, "UNAUTHENTICATED", "the access token is not usable", error.reason, challenge)
    if isinstance(error, MissingTokenError):
        return _refusal(401, "UNAUTHENTICATED", "an access token is needed", "token_missing", "Bearer")
    if isinstance(error, MissingScopeError):
        challenge = f'Bearer error="insufficient_scope", scope="{error.scope}"'
        return _refusal(403, "FORBIDDEN", "the token does not carry the capability", "capability_missing", challenge)
    if isinstance(error, UnavailableError):
        return _refusal(503, "UNAVAILABLE", "the token cannot be judged now", error.reason, "")
    raise error


def _refusal(status: int, code: str, message: str, reason: str, challenge: str) -> Refusal:
    headers = {"WWW-Authenticate": challenge} if challenge else {"Retry-After": "1"}
    return Refusal(status, headers, {"code": code, "message": message, "details": {"reason": reason}})
