"""Keys that sign and verify."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

KeyStatus = Literal["next", "active", "retired"]
"""Published, signing, verifying only."""


@dataclass(frozen=True, kw_only=True)
class Key:
    """A signing key: public facts only."""

    kid: str
    alg: str
    bits: int
    status: KeyStatus
    created_at: datetime
    activate_at: datetime | None = None
    """When a next key is to sign."""
    activated_at: datetime | None = None
    rotate_at: datetime | None = None
    """In the list: when the active key gives way."""
    retired_at: datetime | None = None
    leaves_at: datetime | None = None
    """In the list: when a retired key leaves the JWKS."""


@dataclass(frozen=True, kw_only=True)
class KeyList:
    """Every signing key, the one that signs first, and the key of the audit log's checkpoints."""

    data: tuple[Key, ...]
    verifier_key: str
    """As C2SP signed-note has it."""


@dataclass(frozen=True, kw_only=True)
class JWK:
    """One RSA key."""

    kty: str
    use: str
    alg: str
    kid: str
    n: str
    """Base64url, as e."""
    e: str


@dataclass(frozen=True, kw_only=True)
class JWKS:
    """The IdP's public keys (RFC 7517)."""

    keys: tuple[JWK, ...]
