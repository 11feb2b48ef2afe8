"""One call of the management API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from ._decode import format_time
from .errors import QUOTA_EXCEEDED, AgentIdPError, APIError, RequestTimeoutError, TransportError

PAGE_SIZE = 100  # the most that the API gives at once
LONGEST = 60.0  # seconds of a call
MAX_ANSWER = 16 << 20  # bytes: a page of the largest events


@dataclass(frozen=True)
class Call:
    """What is called, and what may be done when that fails."""

    method: str
    path: str
    query: Mapping[str, str] | None = None
    json: Any = None
    form: Mapping[str, str] | None = None
    public: bool = False
    """Needs no token."""
    repeatable: bool = False
    """Doing it twice is doing it once."""
    accept: str = "application/json"
    takes: int = 0
    """A status beside 2xx whose body is an answer; 0: none."""
    within: float = LONGEST
    """Seconds for all attempts, the pauses between and the wait for tokens."""

    @staticmethod
    def may_repeat_after(error: AgentIdPError) -> bool:
        """Whether what can be done twice is worth a repeat after that."""
        if isinstance(error, APIError):
            return error.status in (429, 503) and error.code != QUOTA_EXCEEDED
        return isinstance(error, TransportError) and not isinstance(error, RequestTimeoutError)


def get(path: str, **query: Any) -> Call:
    """A read."""
    return Call("GET", path, parameters(**query), repeatable=True)


def post(path: str, json: Any, **query: Any) -> Call:
    """A call that the IdP does once however often it is sent, by its Idempotency-Key."""
    return Call("POST", path, parameters(**query), json=json)


def delete(path: str, **query: Any) -> Call:
    """A removal: a repeat finds nothing more to do."""
    return Call("DELETE", path, parameters(**query), repeatable=True)


def parameters(**values: Any) -> dict[str, str]:
    """The query of what is set."""
    return {
        name.rstrip("_"): _text(value)
        for name, value in values.items()
        if value is not None and value != "" and value is not False
    }


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return format_time(value) if isinstance(value, datetime) else str(value)


def segment(text: str) -> str:
    """The text as one part of a path."""
    if text in ("", ".", ".."):
        raise ValueError("an id is empty, or leads to another path")
    return quote(text, safe="")


def agent_path(agent_id: str) -> str:
    """Of an agent."""
    return f"/api/v1/agents/{segment(agent_id)}"


def credential_path(agent_id: str, credential_id: str) -> str:
    """Of a credential."""
    return f"{agent_path(agent_id)}/credentials/{segment(credential_id)}"
