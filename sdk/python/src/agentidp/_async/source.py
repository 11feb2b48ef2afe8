"""Tokens that are always fresh."""

from __future__ import annotations

import threading
from dataclasses import replace

import httpx

from .._config import Config
from .._retry import pause_before
from .._token import Moment, Token, parse_token
from ..errors import AgentIdPError, APIError, ConfigurationError, InvalidAnswerError
from .platform import AsyncClock, AsyncFlight, AsyncHTTP

_REFRESH_AFTER, _JITTER = 0.8, 0.1  # of a token's life
_LAST_USE = 5.0  # seconds in which a token is not given out any more
_PAUSE_AFTER_FAILURE = 5.0  # seconds between refreshes ahead
_ALL_ATTEMPTS = 30.0  # seconds for a token, however many attempts
_REJECTIONS = 10.0  # seconds between tokens that APIs make us forget


class AsyncTokenSource:
    """Gives a fresh token to any number of callers: kept until shortly before it expires, replaced in the background
    while the old one is still good, one request in flight however many callers. There is nothing to close.

    `http_client` sends the requests for tokens; without one, each has its own.
    """

    def __init__(
        self, config: Config, *, http_client: httpx.AsyncClient | None = None, clock: AsyncClock | None = None
    ) -> None:
        config.validate()
        self._clock = clock or AsyncClock()
        self._http = AsyncHTTP(http_client)
        self._flight: AsyncFlight[Token] = AsyncFlight(self._refresh)
        self._lock = threading.Lock()  # guards all below; never held while somebody waits
        self._config = config
        self._kept: Token | None = None
        self._refresh_left = 0.0  # seconds of life left from when on it is replaced
        self._failed: Moment | None = None
        self._rejected: Moment | None = None

    @property
    def config(self) -> Config:
        """What is asked for, and with which credential."""
        return self._config

    async def token(self, timeout: float | None = None) -> Token:
        """A token that is good for five seconds or more, or as long as the IdP gave it. `timeout` (seconds) bounds this
        caller's wait, not the request that others wait for too. APIError, TransportError, InvalidAnswerError."""
        with self._lock:
            now, kept = self._clock.now(), self._kept
            good = kept is not None and kept.left(now) > _LAST_USE
            if kept is not None and good and (kept.left(now) > self._refresh_left or self._pausing(now)):
                return kept
            run = self._flight.start()
        if kept is not None and good:
            return kept
        token = await self._flight.wait(run, timeout)
        if token.left(self._clock.now()) <= 0:
            raise InvalidAnswerError("the token had expired when it came")
        return token

    def _pausing(self, now: Moment) -> bool:
        return self._failed is not None and now.since(self._failed) < _PAUSE_AFTER_FAILURE

    async def _refresh(self) -> Token:
        try:
            token = await self._ask()
        except BaseException:
            with self._lock:
                self._failed = self._clock.now()
            raise
        with self._lock:
            self._kept, self._failed = token, None
            self._refresh_left = token.expires_in * (1 - _REFRESH_AFTER - _JITTER * self._clock.random())
        return token

    async def _ask(self) -> Token:
        """Asks, and again after a pause when the IdP is away, overloaded or limits the rate: no answer, no token, so
        asking twice does no harm."""
        began, attempt = self._clock.now(), 1
        while True:
            asked = self._clock.now()
            request = self._config.token_request(asked.wall)
            left = _ALL_ATTEMPTS - asked.since(began)
            try:
                return parse_token(await self._http.send(replace(request, timeout=min(request.timeout, left))), asked)
            except AgentIdPError as error:
                attempt += 1
                pause = pause_before(attempt, error, self._clock.random) if _again(error) else None
                if pause is None or self._clock.now().since(began) + pause >= _ALL_ATTEMPTS:
                    raise
            await self._clock.sleep(pause)

    def forget(self) -> None:
        """Drops the kept token: the next call asks for a new one."""
        with self._lock:
            self._kept = None

    def reject(self, access_token: str) -> bool:
        """Says that an API answered 401 to the token, and asks whether to try once more. The token is forgotten, at
        most one in ten seconds: an API that refuses everything costs no tokens."""
        with self._lock:
            now = self._clock.now()
            if self._kept is None or self._kept.access_token != access_token:
                return True  # another one is kept or coming already
            if self._rejected is not None and now.since(self._rejected) < _REJECTIONS:
                return False
            self._rejected, self._kept = now, None
            return True

    def use_secret(self, client_secret: str) -> None:
        """Asks with another secret from now on, after a rotation. The kept token stays."""
        with self._lock:
            if self._config.private_key is not None:
                raise ConfigurationError("a client with a private key has no secret")
            self._config = replace(self._config, client_secret=client_secret)


def _again(error: AgentIdPError) -> bool:
    if isinstance(error, APIError):
        return error.temporary
    return not isinstance(error, InvalidAnswerError)
