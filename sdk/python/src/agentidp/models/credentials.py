"""What agents authenticate with."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

AuthMethod = Literal["client_secret", "private_key_jwt"]
CredentialStatus = Literal["active", "revoked"]


@dataclass(frozen=True, kw_only=True)
class Credential:
    """What an agent authenticates with."""

    credential_id: str
    client_id: str
    agent_id: str
    auth_method: AuthMethod
    status: CredentialStatus
    created_at: datetime
    expires_at: datetime | None = None
    """None: never."""
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None
    previous_secret_expires_at: datetime | None = None
    """Until when the secret before the last rotation works too. None: it does not."""


@dataclass(frozen=True, kw_only=True)
class CredentialWithSecret:
    """A credential that was just made or rotated. The secret is never shown again."""

    credential_id: str
    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    """None with `private_key_jwt`."""
    agent_id: str
    auth_method: AuthMethod
    status: CredentialStatus
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None
    previous_secret_expires_at: datetime | None = None
    """Until when the secret before the last rotation works too. None: it does not."""
