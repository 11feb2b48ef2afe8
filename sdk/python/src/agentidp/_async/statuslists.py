"""Status lists, kept as long as they may be."""

from __future__ import annotations

import logging
import math
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from functools import partial

from .._claims import Status
from .._statuslist import MAX_ANSWER, StatusList, parse_list, read_answer
from .._token import Moment
from .._wire import USER_AGENT, Request
from ..errors import AgentIdPError, InvalidAnswerError, RequestTimeoutError, TokenRefusedError, UnavailableError
from .keys import AsyncKeySource
from .platform import AsyncClock, AsyncFlight, AsyncHTTP, Run

_log = logging.getLogger("agentidp")
_MAX_LISTS = 64  # kept; each is at most 1 MiB
_AFTER_FAILURE = 1.0  # seconds from a fetch that failed to the next
_AWAY = 15.0  # seconds after a failure in which nobody waits for the issuer
_LONGEST_WAIT = 3.0  # seconds of a fetch that a verification waits for
_MAX_BEHIND = 8  # fetches under way that nobody waits for


class AsyncStatusLists:
    """Says whether tokens are revoked, by the issuer's lists."""

    def __init__(self, issuer: str, keys: AsyncKeySource, http: AsyncHTTP, clock: AsyncClock) -> None:
        self._base = issuer.rstrip("/") + "/"
        self._keys = keys
        self._http = http
        self._clock = clock
        self._lock = threading.Lock()
        self._lists: OrderedDict[str, _Kept] = OrderedDict()  # guarded by _lock

    async def check(self, status: Status | None) -> None:
        """TokenRefusedError: token_revoked. UnavailableError: it is not known."""
        if status is None or not status.uri.startswith(self._base):
            raise UnavailableError("revocations_stale", "the token names no status list of the issuer")
        kept = self._kept(status.uri)
        await self._freshen(kept)
        known = kept.current()
        try:
            dead = known is None or known.dead(status.index)
        except IndexError:
            known = None
        if known is None:
            raise UnavailableError("revocations_stale", "the status list is not known, or too short")
        if dead:
            raise TokenRefusedError("token_revoked")

    def _kept(self, uri: str) -> _Kept:
        with self._lock:
            kept = self._lists.get(uri)
            if kept is None:
                kept = self._lists[uri] = _Kept(partial(self._fetch, uri), self._clock)
            self._lists.move_to_end(uri)
            if len(self._lists) > _MAX_LISTS:
                self._lists.popitem(last=False)
            return kept

    async def _freshen(self, kept: _Kept) -> None:
        """Fetches a list that is due, behind the request while the one at hand will do. It does for two of its times to
        live, and until it expires while the issuer is away."""
        if kept.age() < 1:
            return
        with self._lock:
            age = kept.age()  # another thread's fetch may just have ended
            behind = age < 2 or (age < math.inf and kept.away())
            crowded = behind and sum(other.under_way() for other in self._lists.values()) >= _MAX_BEHIND
            run = None if crowded or age < 1 else kept.begin()
        if run is not None and not behind:
            await kept.wait(run)

    async def _fetch(self, uri: str) -> StatusList:
        headers = {"Accept": "application/statuslist+jwt", "User-Agent": USER_AGENT}
        document = read_answer(await self._http.send(Request("GET", uri, headers, limit=MAX_ANSWER)))
        try:
            key = await self._keys.key(document.kid)
            document.verify({document.kid: key}.__getitem__)
        except (KeyError, TokenRefusedError) as error:
            raise InvalidAnswerError("the status list is not signed by the issuer") from error
        made = parse_list(document.payload, uri)
        if self._clock.now().wall >= made.expires_at:
            raise InvalidAnswerError("the status list has expired")
        return made


class _Kept:
    """One list, and how its fetches went."""

    def __init__(self, fetch: Callable[[], Awaitable[StatusList]], clock: AsyncClock) -> None:
        self._fetch = fetch
        self._clock = clock
        self._flight: AsyncFlight[None] = AsyncFlight(self._replace)
        self._list: tuple[StatusList, Moment] | None = None  # and since when it is known
        self._began: Moment | None = None  # the last fetch
        self._failed: Moment | None = None  # when the last fetch did; None after a good one

    def current(self) -> StatusList | None:
        """The list, unless it has expired."""
        known = self._list[0] if self._list is not None else None
        return known if known is not None and self._clock.now().wall < known.expires_at else None

    def age(self) -> float:
        """In its times to live; infinite when none is known."""
        known, now = self._list, self._clock.now()
        if known is None or now.wall >= known[0].expires_at:
            return math.inf
        return now.since(known[1]) / known[0].ttl

    def away(self) -> bool:
        """Whether the issuer does not answer, as far as is known."""
        failed = self._failed
        if failed is not None and self._clock.now().since(failed) < _AWAY:
            return True
        return self.under_way() and self._waited() >= _LONGEST_WAIT

    def under_way(self) -> bool:
        """Whether it is being fetched."""
        return self._flight.under_way()

    def begin(self) -> Run[None] | None:
        """The fetch under way, or a new one; None when one failed a moment ago. The caller's lock is held."""
        run = self._flight.current()
        if run is not None:
            return run
        now = self._clock.now()
        if self._failed is not None and now.since(self._failed) < _AFTER_FAILURE:
            return None
        self._began = now
        return self._flight.start()

    async def wait(self, run: Run[None]) -> None:
        """Until the fetch has ended or is three seconds old."""
        left = _LONGEST_WAIT - self._waited()
        if left <= 0:
            return
        try:
            await self._flight.wait(run, left)
        except RequestTimeoutError:
            _log.warning("a status list does not come in %g seconds", _LONGEST_WAIT)

    def _waited(self) -> float:
        """Seconds since the last fetch began."""
        return self._clock.now().since(self._began) if self._began is not None else 0

    async def _replace(self) -> None:
        began = self._clock.now()
        try:
            self._list, self._failed = (await self._fetch(), began), None
        except AgentIdPError as error:
            self._failed = self._clock.now()
            _log.warning("a status list cannot be fetched: %s", error)
