"""The IdP itself, and the sidecars that report to it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal

HealthStatus = Literal["ok", "degraded", "unavailable"]
ErrorCode = Literal[
    "VALIDATION_FAILED",
    "UNAUTHENTICATED",
    "FORBIDDEN",
    "CAPABILITY_CEILING",
    "FREE_TIER_LIMIT_EXCEEDED",
    "NOT_FOUND",
    "METHOD_NOT_ALLOWED",
    "AGENT_ALREADY_EXISTS",
    "INVALID_STATE",
    "LAST_ADMINISTRATOR",
    "SEQUENCE_GAP",
    "REQUEST_TIMEOUT",
    "PRECONDITION_FAILED",
    "PAYLOAD_TOO_LARGE",
    "URI_TOO_LONG",
    "UNSUPPORTED_MEDIA_TYPE",
    "EXPECTATION_FAILED",
    "IDEMPOTENCY_KEY_REUSED",
    "RATE_LIMITED",
    "HEADER_TOO_LARGE",
    "INTERNAL",
    "NOT_IMPLEMENTED",
    "OVERLOADED",
    "AUDIT_UNAVAILABLE",
    "STORE_UNAVAILABLE",
    "UNAVAILABLE",
]
"""The codes of management operations, in `APIError.code`."""


@dataclass(frozen=True, kw_only=True)
class Dependency:
    """Something that the IdP needs."""

    status: HealthStatus
    reason: str | None = None
    backend: str | None = None


@dataclass(frozen=True, kw_only=True)
class Health:
    """Whether the IdP can do its work."""

    status: HealthStatus
    version: str
    dependencies: dict[str, Dependency]


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """Describes the IdP (RFC 8414)."""

    SNAKE_CASE: ClassVar[bool] = True

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    introspection_endpoint: str
    revocation_endpoint: str
    response_types_supported: tuple[str, ...]
    grant_types_supported: tuple[str, ...]
    token_endpoint_auth_methods_supported: tuple[str, ...]
    token_endpoint_auth_signing_alg_values_supported: tuple[str, ...] | None = None
    introspection_endpoint_auth_methods_supported: tuple[str, ...] | None = None
    introspection_endpoint_auth_signing_alg_values_supported: tuple[str, ...] | None = None
    revocation_endpoint_auth_methods_supported: tuple[str, ...] | None = None
    revocation_endpoint_auth_signing_alg_values_supported: tuple[str, ...] | None = None
    status_list_aggregation_endpoint: str | None = None
    subject_types_supported: tuple[str, ...] | None = None
    id_token_signing_alg_values_supported: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Sidecar:
    """A sidecar that reports to the IdP."""

    sidecar_id: str
    agent_id: str
    """Whose credential it uses."""
    agent_email: str | None = None
    organization_id: str
    name: str | None = None
    version: str | None = None
    policy_revision: str | None = None
    feed_cursor: str | None = None
    """Of the revocations, that it last acknowledged."""
    feed_sequence: int | None = None
    """Of that cursor; None when it is of another feed."""
    feed_cursor_at: datetime | None = None
    """When it first acknowledged it."""
    next_sequence: int
    """Of its decisions."""
    last_decision_at: datetime | None = None
    seen_at: datetime
    connected: bool
    """Seen less than 5 minutes ago."""
