"""When to ask again."""

from __future__ import annotations

from collections.abc import Callable

from .errors import APIError

ATTEMPTS = 4
MAX_PAUSE = 10.0
_FIRST_BACKOFF = 0.2


def pause_before(attempt: int, error: Exception, random: Callable[[], float]) -> float | None:
    """Seconds to pause before that attempt, from 2: as long as a refusal asks for, else longer every time. None: give
    up, for it was the last, or more than ten seconds are asked for."""
    backoff = _FIRST_BACKOFF * 2.0 ** (attempt - 2)
    pause = backoff / 2 + random() * backoff / 2
    asked = error.retry_after if isinstance(error, APIError) else 0
    if asked > 0:
        pause = asked + random() * _FIRST_BACKOFF
    return None if attempt > ATTEMPTS or max(asked, 0) > MAX_PAUSE else pause
