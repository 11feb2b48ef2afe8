"""What threads do otherwise than asyncio: the counterpart of `_async/platform.py`, by hand. The other modules of this
folder are made by `scripts/make_sync.py`."""

from __future__ import annotations

import os
import random
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from concurrent.futures import Future
from contextlib import contextmanager
from functools import lru_cache
from typing import Generic, TypeVar

import httpx

from .._token import Moment
from .._wire import Answer, Request, transport_error
from ..errors import RequestTimeoutError

T = TypeVar("T")


class Clock:
    """Time and chance. Tests pass one of their own."""

    def now(self) -> Moment:
        return Moment(time.monotonic(), time.time())

    def random(self) -> float:
        """At least 0, less than 1."""
        return random.random()  # noqa: S311 - jitter, not a secret

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class HTTP:
    """Sends requests one by one. With a client of the caller's, that one is used and never closed; else every request
    has its own, so that there is nothing to close."""

    def __init__(self, client: httpx.Client | None = None) -> None:
        self._client = client

    def send(self, request: Request) -> Answer:
        """The whole answer, within the request's limits. TransportError."""
        end = time.monotonic() + request.timeout
        with self.stream(request) as response:
            body = bytearray()
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > request.limit:
                    break
                if time.monotonic() > end:
                    raise RequestTimeoutError(
                        f"{request.method} {request.url}: no whole answer in {request.timeout:g} s"
                    )
            return Answer(response.status_code, response.headers, bytes(body[: request.limit + 1]))

    @contextmanager
    def stream(self, request: Request) -> Iterator[httpx.Response]:
        """The answer as it comes; the request's timeout is for each part of it. TransportError."""
        own = httpx.Client(verify=_tls()) if self._client is None else None
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
            response = client.send(built, stream=True, auth=_no_auth, follow_redirects=False)
            try:
                yield response
            finally:
                response.close()
        except httpx.HTTPError as error:
            raise transport_error(request, error) from error
        finally:
            if own is not None:
                own.close()


def _no_auth(request: httpx.Request) -> httpx.Request:
    """Keeps a client's own auth, and the user's netrc, out of our requests."""
    return request


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    return httpx.create_ssl_context()


class Flight(Generic[T]):
    """Work that many wait for and that runs once at a time, in a thread of its own."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._lock = threading.Lock()
        self._run: Future[T] | None = None  # guarded by _lock
        self._process = 0  # that began it: its threads are not in a fork

    def under_way(self) -> bool:
        run = self._run
        return run is not None and not run.done() and self._process == os.getpid()

    def current(self) -> Future[T] | None:
        """The run that is under way."""
        with self._lock:
            return self._run if self.under_way() else None

    def start(self) -> Future[T]:
        """Begins the work, unless it is under way."""
        with self._lock:
            if self._run is None or not self.under_way():
                self._run, self._process = Future(), os.getpid()
                threading.Thread(target=self._fly, args=(self._run,), name="agentidp", daemon=True).start()
            return self._run

    def _fly(self, run: Future[T]) -> None:
        try:
            result = self._work()
        except BaseException as error:  # noqa: BLE001 - it is those who wait that it is for
            run.set_exception(error)
        else:
            run.set_result(result)

    def wait(self, run: Future[T], timeout: float | None) -> T:
        """The result of a run. RequestTimeoutError ends this wait, not the work; so does what a signal of the caller's
        raises here, even a TimeoutError, which is not taken for one."""
        if not futures.wait((run,), timeout).done:
            raise RequestTimeoutError(f"nothing in {timeout:g} s")
        return run.result()


Run = Future
