"""What a rotation of one's own credential brings."""

from __future__ import annotations

from dataclasses import dataclass

import jwt

from .errors import AgentIdPError
from .models import CredentialWithSecret

DEFAULT_OVERLAP = 3600  # seconds


@dataclass(frozen=True)
class Rotated:
    """The new credential, in use already."""

    credential: CredentialWithSecret
    store_error: Exception | None = None
    """Why the callback could not store it: store it another way before the overlap ends."""


def subject_of(access_token: str) -> str:
    """Whose token it is. Nothing is verified: it came from the endpoint that we authenticated to."""
    try:
        subject = jwt.decode(access_token, options={"verify_signature": False}).get("sub")
    except jwt.InvalidTokenError:
        subject = None
    if not isinstance(subject, str):
        raise AgentIdPError("the access token does not say whose it is")
    return subject
