"""What asyncio does otherwise than threads. The other modules of this folder are written once, for both:
`scripts/make_sync.py` makes those of `_sync` of them. This one has its counterpart there by hand."""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Generic, TypeVar

import httpx

from .._token import Moment
from .._wire import Answer, Request, transport_error
from ..errors import RequestTimeoutError

T = TypeVar("T")


class AsyncClock:
    """Time and chance. Tests pass one of their own."""

    def now(self) -> Moment:
        return Moment(time.monotonic(), time.time())

    def random(self) -> float:
        """At least 0, less than 1."""
        return random.random()  # noqa: S311 - jitter, not a secret

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class AsyncHTTP:
    """Sends requests one by one. With a client of the caller's, that one is used and never closed; else every request
    has its own, so that there is nothing to close, and nothing is bound to an event loop."""

    def __init__(self, client: httpx.AsyncClient | None = None) -> None:
        self._client = client

    async def send(self, request: Request) -> Answer:
        """The whole answer, within the request's limits. TransportError."""
        try:
            return await asyncio.wait_for(self._send(request), request.timeout)
        except (asyncio.TimeoutError, TimeoutError) as error:
            raise RequestTimeoutError(f"{request.method} {request.url}: no answer in {request.timeout:g} s") from error

    async def _send(self, request: Request) -> Answer:
        async with self.stream(request) as response:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > request.limit:
                    break
            return Answer(response.status_code, response.headers, bytes(body[: request.limit + 1]))

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncIterator[httpx.Response]:
        """The answer as it comes; the request's timeout is for each part of it. TransportError."""
        own = httpx.AsyncClient(verify=_tls()) if self._client is None else None
        client = own or self._client
        assert client is not None  # noqa: S101 - one of the two is there
        try:
            built = client.build_request(
                request.method,
                request.url,
                headers=request.headers,
                content=request.content,
                timeout=httpx.Timeout(request.timeout),
            )
            response = await client.send(built, stream=True, auth=_no_auth, follow_redirects=False)
            try:
                yield response
            finally:
                await response.aclose()
        except httpx.HTTPError as error:
            raise transport_error(request, error) from error
        finally:
            if own is not None:
                await own.aclose()


def _no_auth(request: httpx.Request) -> httpx.Request:
    """Keeps a client's own auth, and the user's netrc, out of our requests."""
    return request


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    return httpx.create_ssl_context()


class AsyncFlight(Generic[T]):
    """Work that many wait for and that runs once at a time."""

    def __init__(self, work: Callable[[], Awaitable[T]]) -> None:
        self._work = work
        self._task: asyncio.Task[T] | None = None

    def under_way(self) -> bool:
        task = self._task
        return task is not None and not task.done() and task.get_loop() is asyncio.get_running_loop()

    def current(self) -> asyncio.Task[T] | None:
        """The run that is under way."""
        return self._task if self.under_way() else None

    def start(self) -> asyncio.Task[T]:
        """Begins the work, unless it is under way."""
        if self._task is None or not self.under_way():
            self._task = asyncio.ensure_future(self._run())
            self._task.add_done_callback(_retrieve)
        return self._task

    async def _run(self) -> T:
        return await self._work()

    async def wait(self, run: asyncio.Task[T], timeout: float | None) -> T:
        """The result of a run. RequestTimeoutError ends this wait, not the work; so does the caller's own cancellation,
        which is not taken for one."""
        landed, _ = await asyncio.wait({run}, timeout=timeout)
        if not landed:
            raise RequestTimeoutError(f"nothing in {timeout:g} s")
        return run.result()


def _retrieve(task: asyncio.Task[T]) -> None:
    """A failure that nobody waited for is no warning."""
    if not task.cancelled():
        task.exception()


Run = asyncio.Task
