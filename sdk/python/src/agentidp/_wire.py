"""Requests, answers, and what an answer that is none means."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from ._json import integer
from ._version import __version__
from .errors import APIError, Details, FieldError, InvalidAnswerError, RequestTimeoutError, TransportError

USER_AGENT = f"agentidp-python/{__version__}"
FORM = "application/x-www-form-urlencoded"
_LONGEST_RETRY_AFTER = 2.0**31  # seconds: longer than anybody waits


@dataclass(frozen=True)
class Request:
    """One request, to be sent once."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # may hold a credential
    content: bytes | None = field(default=None, repr=False)
    limit: int = 64 << 10
    """Bytes of the answer that are read."""
    timeout: float = 10.0
    """Seconds for all of it."""


@dataclass(frozen=True)
class Answer:
    """A whole answer, unless it is longer than the limit: then one byte more than that."""

    status: int
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes

    def good(self, limit: int) -> bytes:
        """The body of a 2xx within the limit. APIError, InvalidAnswerError."""
        if self.status // 100 != 2:
            raise refusal(self)
        if len(self.body) > limit:
            raise InvalidAnswerError(f"the answer is larger than {limit} bytes")
        return self.body


def read_json(body: bytes) -> Any:
    """InvalidAnswerError when it is no JSON."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidAnswerError("the answer is not JSON") from error


def refusal(answer: Answer) -> APIError:
    """The refusal in whichever of the two forms it has; of something in between the status says it."""
    request_id = answer.headers.get("x-request-id", "")
    retry_after = _retry_after(answer.headers)
    try:
        code, message, details = _refusal_body(json.loads(answer.body))
    except (ValueError, TypeError, AttributeError, RecursionError):
        code, message, details = "", "", Details()
    return APIError(answer.status, code, message, details, request_id, retry_after)


def _refusal_body(body: dict[str, Any]) -> tuple[str, str, Details]:
    if code := _string(body.get("code")):
        return code, _string(body.get("message")), _details(body.get("details") or {})
    return _string(body.get("error")), _string(body.get("error_description")), Details()


def _details(body: dict[str, Any]) -> Details:
    fields = tuple(FieldError(_string(f["field"]), _string(f["rule"])) for f in body.get("fields") or ())
    return Details(
        fields=fields,
        reason=_string(body.get("reason")),
        next_sequence=integer(body.get("nextSequence")),
        credential_id=_string(body.get("credentialId")),
    )


def _string(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TypeError("not a string")
    return value


def _retry_after(headers: Mapping[str, str]) -> float:
    """Seconds, of either form (RFC 9110 section 10.2.3); 0 when it says nothing."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return min(float(value), _LONGEST_RETRY_AFTER)
    until = _date(value)
    if until is None:
        return 0
    since = _date(headers.get("date", "")) or datetime.now(timezone.utc)
    return max((until - since).total_seconds(), 0)


def _date(value: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=timezone.utc)


def transport_error(request: Request, error: httpx.HTTPError) -> TransportError:
    """What httpx raised, without what it may quote of the request: a header it thinks illegal, say."""
    what = f"{request.method} {request.url}: {type(error).__name__}"
    if isinstance(error, (httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError)) and str(error):
        what += f": {error}"
    return RequestTimeoutError(what) if isinstance(error, httpx.TimeoutException) else TransportError(what)
