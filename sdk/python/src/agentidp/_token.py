"""What the token endpoint answers."""

from __future__ import annotations

from dataclasses import dataclass, field

from ._json import integer
from ._wire import Answer, read_json
from .errors import InvalidAnswerError

MAX_ANSWER = 64 << 10
_LONGEST = 86_400  # seconds that are believed


@dataclass(frozen=True)
class Moment:
    """Now, by a clock that only goes forward and by the one on the wall: the one stands still while a machine sleeps,
    the other can be set back."""

    monotonic: float
    wall: float

    def since(self, earlier: Moment) -> float:
        """Seconds, by whichever clock says more: nothing is thought younger than it is."""
        return max(self.monotonic - earlier.monotonic, self.wall - earlier.wall)


@dataclass(frozen=True)
class Token:
    """An access token."""

    access_token: str = field(repr=False)
    expires_in: int
    """Seconds from when it was asked for."""
    expires_at: float
    """Unix seconds."""
    scope: str
    """What was granted."""
    asked: Moment = field(repr=False)

    def left(self, now: Moment) -> float:
        """Seconds that it is good for yet."""
        return self.expires_in - now.since(self.asked)


def parse_token(answer: Answer, asked: Moment) -> Token:
    """Reads the answer (RFC 6749 section 5.1) to a request sent at `asked`. APIError, InvalidAnswerError."""
    body = read_json(answer.good(MAX_ANSWER))
    if isinstance(body, dict):
        token, kind, life = body.get("access_token"), body.get("token_type"), integer(body.get("expires_in"))
        scope = body.get("scope") or ""
        bearer = isinstance(kind, str) and kind.lower() == "bearer"
        if isinstance(token, str) and token and bearer and isinstance(scope, str) and life is not None and life > 0:
            life = min(life, _LONGEST)
            return Token(token, life, asked.wall + life, scope, asked)
    raise InvalidAnswerError("the answer lacks a bearer token with a lifetime")
