"""How the management API is called: with a token, a time limit, and again where that does no harm."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar
from urllib.parse import urlencode

import httpx

from .._call import MAX_ANSWER, Call
from .._config import Config
from .._decode import decode
from .._retry import pause_before
from .._token import Moment
from .._wire import FORM, USER_AGENT, Answer, Request, read_json, refusal
from ..errors import AgentIdPError, APIError, ConfigurationError, RequestTimeoutError
from .platform import AsyncClock, AsyncHTTP
from .source import AsyncTokenSource

T = TypeVar("T")
_TIMEOUT = 30.0  # seconds of one attempt, with its answer
_IDLE = 60.0  # seconds in which a stream must bring something


class AsyncCaller:
    """Makes calls. Safe for any number of callers."""

    def __init__(self, config: Config, http_client: httpx.AsyncClient | None, clock: AsyncClock | None) -> None:
        config.validate_url()
        self.url = config.url
        self._clock = clock or AsyncClock()
        self._own = httpx.AsyncClient() if http_client is None else None
        self._http = AsyncHTTP(http_client or self._own)
        self.tokens: AsyncTokenSource | None = None
        if config.client_id:
            self.tokens = AsyncTokenSource(config.for_resource(), http_client=http_client or self._own, clock=clock)

    async def aclose(self) -> None:
        """Closes the connections, unless they are those of a client that was passed in."""
        if self._own is not None:
            await self._own.aclose()

    def source(self) -> AsyncTokenSource:
        """Of the tokens that calls carry. ConfigurationError when there is none."""
        if self.tokens is None:
            raise ConfigurationError("the client id (AGENTIDP_CLIENT_ID) is missing: only what is public can be called")
        return self.tokens

    async def model(self, model: type[T], call: Call) -> T:
        """Makes the call and reads its answer."""
        return decode(model, read_json(await self.body(call)))

    async def body(self, call: Call) -> bytes:
        """Makes the call: again after a pause where that does no harm, and once with another token after a 401."""
        idempotency_key = secrets.token_urlsafe(24) if call.method == "POST" and call.json is not None else ""
        repeatable = call.repeatable or idempotency_key != ""
        began, attempt, unauthorized = self._clock.now(), 1, False
        while True:
            # What the source says is final: it has tried as often as it should.
            headers = await self._headers(call, idempotency_key, self._left(call, began))
            request = self._request(call, headers, min(_TIMEOUT, self._left(call, began)))
            try:
                return _good(await self._http.send(request), call)
            except AgentIdPError as error:
                if _unauthenticated(error) and not call.public and not unauthorized:
                    unauthorized = True
                    self.source().forget()
                elif not (repeatable and call.may_repeat_after(error)):
                    raise
                attempt += 1
                pause = pause_before(attempt, error, self._clock.random)
                if pause is None or pause >= call.within - self._clock.now().since(began):
                    raise
            await self._clock.sleep(pause)

    def _left(self, call: Call, began: Moment) -> float:
        """Seconds. RequestTimeoutError when there are none."""
        left = call.within - self._clock.now().since(began)
        if left <= 0:
            raise RequestTimeoutError(f"{call.method} {call.path}: no answer in {call.within:g} s")
        return left

    @asynccontextmanager
    async def stream(self, call: Call) -> AsyncIterator[httpx.Response]:
        """The answer of a call as it comes. It is made once."""
        request = self._request(call, await self._headers(call, "", None), _IDLE)
        async with self._http.stream(request) as response:
            if response.status_code != 200:
                body = b""
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > request.limit:
                        break
                raise refusal(Answer(response.status_code, response.headers, body))
            yield response

    def _request(self, call: Call, headers: dict[str, str], timeout: float) -> Request:
        url = self.url + call.path + (f"?{urlencode(call.query)}" if call.query else "")
        content = None
        if call.form is not None:
            content = urlencode(call.form).encode()
        elif call.json is not None:
            content = json.dumps(call.json, separators=(",", ":")).encode()
        return Request(call.method, url, headers, content, MAX_ANSWER, timeout)

    async def _headers(self, call: Call, idempotency_key: str, timeout: float | None) -> dict[str, str]:
        headers = {"Accept": call.accept, "User-Agent": USER_AGENT}
        if call.form is not None:
            headers["Content-Type"] = FORM
        elif call.json is not None:
            headers["Content-Type"] = "application/json"
        if idempotency_key:
            headers["Idempotency-Key"] = idempotency_key
        if not call.public:
            headers["Authorization"] = f"Bearer {(await self.source().token(timeout)).access_token}"
        return headers


def _good(answer: Answer, call: Call) -> bytes:
    return answer.body if answer.status == call.takes else answer.good(MAX_ANSWER)


def _unauthenticated(error: AgentIdPError) -> bool:
    return isinstance(error, APIError) and error.status == 401 and error.code == "UNAUTHENTICATED"
