"""What can go wrong. No error text ever holds a secret, a token or a key."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal


class AgentIdPError(Exception):
    """The base of every error of this package."""


class ConfigurationError(AgentIdPError, ValueError):
    """The configuration cannot work. Nobody was called."""


class TransportError(AgentIdPError):
    """There was no whole answer: the connection could not be made, or broke."""


class RequestTimeoutError(TransportError):
    """There was no whole answer in time."""


class InvalidAnswerError(AgentIdPError):
    """An answer came that is not what the API promises."""


class UnavailableError(AgentIdPError):
    """A token cannot be judged now: answer 503, never let it pass.

    `reason` is stable: `keys_stale` or `revocations_stale`, the words of the sidecar.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason


RefusalReason = Literal[
    "malformed",
    "oversize",
    "algorithm",
    "critical_header",
    "type_mismatch",
    "unknown_key",
    "signature",
    "issuer_mismatch",
    "audience_mismatch",
    "expired",
    "not_yet_valid",
    "lifetime",
    "claims_invalid",
    "token_revoked",
]
"""Why a token is refused: stable, the words of the sidecar."""


class TokenRefusedError(AgentIdPError):
    """A token is not good: answer 401."""

    def __init__(self, reason: RefusalReason, cause: str = "") -> None:
        super().__init__(f"token refused: {reason}" + (f": {cause}" if cause else ""))
        self.reason: RefusalReason = reason


class MissingScopeError(AgentIdPError):
    """A good token lacks a capability: answer 403."""

    def __init__(self, scope: str) -> None:
        super().__init__(f"the token does not carry {scope}")
        self.scope = scope


@dataclass(frozen=True)
class FieldError:
    """A member of the request that breaks a rule."""

    field: str
    """Path, as `capabilities[0]`."""
    rule: str
    """What it must be."""


@dataclass(frozen=True)
class Details:
    """More about a refusal; which are set depends on its code."""

    fields: tuple[FieldError, ...] = ()
    """Of `VALIDATION_FAILED`."""
    reason: str = ""
    """Stable, lower_snake."""
    next_sequence: int | None = None
    """Of `SEQUENCE_GAP`."""
    credential_id: str = ""
    """Of a repeated request that made a secret before."""


class APIError(AgentIdPError):
    """The IdP's refusal: of a token (RFC 6749 section 5.2) or of a management operation."""

    def __init__(
        self,
        status: int,
        code: str = "",
        message: str = "",
        details: Details | None = None,
        request_id: str = "",
        retry_after: float = 0,
    ) -> None:
        self.status = status
        """HTTP status."""
        self.code = code
        """`NOT_FOUND`, …; at the token endpoints `invalid_client`, …; empty when the answer was not the IdP's."""
        self.message = message
        """One sentence for people."""
        self.details = details or Details()
        self.request_id = request_id
        """Finds the refusal in the IdP's log."""
        self.retry_after = retry_after
        """Seconds; 0: the IdP named no time."""
        super().__init__(self._text())

    def _text(self) -> str:
        text = f"refused: status {self.status}"
        for part in (self.code, self.message, self.details.reason, self.request_id and f"request {self.request_id}"):
            if part:
                text += f": {part}"
        return text + "".join(f"; {f.field} {f.rule}" for f in self.details.fields)

    @property
    def temporary(self) -> bool:
        """Whether the same request may succeed later."""
        return (self.status == 429 and self.code != QUOTA_EXCEEDED) or self.status >= 500


class SecretLostError(AgentIdPError):
    """A secret was rotated, and the answer that had the new one is lost; the IdP shows it once. Nothing was rotated
    again, as that ends the old secret at once. The refusal of the repeated request is the `__cause__`."""

    def __init__(self, credential_id: str, old_secret_until: datetime) -> None:
        super().__init__(
            f"the new secret of credential {credential_id} is lost: its answer did not arrive, and the IdP shows it "
            f"once. The old one stays good until {old_secret_until.isoformat()}, and ends at once when the credential "
            "is rotated again: before then, tell everybody who uses it, and rotate once more"
        )
        self.credential_id = credential_id
        """Whose secret it is."""
        self.old_secret_until = old_secret_until
        """Until when the old secret is good, at least."""


QUOTA_EXCEEDED = "quota_exceeded"
"""The code of the 429 that no waiting mends before the next month."""


class MissingTokenError(AgentIdPError):
    """A request has no usable `Authorization: Bearer`: answer 401."""
