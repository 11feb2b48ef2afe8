"""Tokens, and what was revoked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Literal

RevocationType = Literal["agent", "credential", "organization", "kid", "jti"]
PreviewBound = Literal["exact", "at_least", "at_most"]


@dataclass(frozen=True, kw_only=True)
class Introspection:
    """The state of a token (RFC 7662). A dead one has `active` alone. Times are Unix seconds."""

    SNAKE_CASE: ClassVar[bool] = True

    active: bool
    scope: str | None = None
    client_id: str | None = None
    token_type: str | None = None
    exp: int | None = None
    iat: int | None = None
    nbf: int | None = None
    sub: str | None = None
    """The agentId."""
    aud: Any = None
    """One name, or a list of names."""
    iss: str | None = None
    jti: str | None = None
    org: str | None = None


@dataclass(frozen=True, kw_only=True)
class RevocationEntry:
    """One entry of the feed."""

    seq: int
    type: RevocationType
    id: str
    epoch: int | None = None
    """Tokens with a lower rev member are dead."""
    exp: int | None = None
    """Unix seconds after which it may be forgotten."""
    reason: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class RevocationPage:
    """What the feed says: what is new behind a cursor, or everything."""

    epoch: str
    """Names this feed."""
    cursor: str
    entries: tuple[RevocationEntry, ...]


@dataclass(frozen=True, kw_only=True)
class RevocationPreview:
    """What a revocation would cut off now."""

    type: RevocationType
    id: str
    """As the feed would name it."""
    organization_id: str | None = None
    """Of the subject; None of a key."""
    at: datetime
    live_tokens: int
    """Issued and neither expired nor revoked."""
    bound: PreviewBound
    agents: int
    """Active ones whose tokens die."""
    credentials: int
    """Live ones whose tokens die."""
    sidecars: int
    """Connected ones of the organization."""
