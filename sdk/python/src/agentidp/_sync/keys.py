# Made by scripts/make_sync.py of _async/keys.py: edit that.
"""The issuer's key set, kept current."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from .._jwks import MAX_JWKS, KeySet, parse_jwks
from .._token import Moment
from .._wire import USER_AGENT, Request
from ..errors import AgentIdPError, InvalidAnswerError, RequestTimeoutError, UnavailableError
from .platform import HTTP, Clock, Flight, Run

_log = logging.getLogger("agentidp")
_TTL = 300.0  # seconds between refreshes, give or take a tenth
_COOLDOWN = 10.0  # seconds between the begins of fetches, whatever asks for them
_MAX_STALE = 86_400.0  # seconds that the last set is trusted
_REFETCH_WAIT = 3.0  # seconds that an unknown kid waits
_MAX_UNKNOWN = 128  # kids remembered that a fetch did not bring


class KeySource:
    """A fetch that fails, or brings nothing usable, changes nothing: the last good set counts for a day. However many
    kids are asked for, the issuer sees at most one request in ten seconds."""

    def __init__(self, url: str, http: HTTP, clock: Clock) -> None:
        self._url = url
        self._http = http
        self._clock = clock
        self._flight: Flight[bool] = Flight(self._fetch)
        self._lock = threading.Lock()  # guards all below; never held while somebody waits
        self._keys: KeySet = {}
        self._tag = ""  # the ETag of that set
        self._confirmed: Moment | None = None
        self._refresh_after = _TTL
        self._tried: Moment | None = None
        self._unknown: OrderedDict[str, Moment] = OrderedDict()

    def key(self, kid: str) -> RSAPublicKey:
        """The key with exactly this kid. KeyError: the issuer has none. UnavailableError: its keys are not known."""
        run = self._take_off() if self._stale() or self._aged() else None
        if self._stale():
            self._landed(run, None)
            if self._stale():
                raise UnavailableError("keys_stale", "the issuer's keys are not known")
        if kid not in self._keys and not self._known_to_be_unknown(kid):
            run = run or self._take_off()  # the one begun above may have landed: another would be too soon
            brought = self._landed(run, _REFETCH_WAIT)
            if brought and kid not in self._keys:
                self._remember(kid)
        return self._keys[kid]

    def _stale(self) -> bool:
        confirmed = self._confirmed
        return confirmed is None or self._clock.now().since(confirmed) > _MAX_STALE

    def _aged(self) -> bool:
        confirmed = self._confirmed
        return confirmed is not None and self._clock.now().since(confirmed) > self._refresh_after

    def _take_off(self) -> Run[bool] | None:
        """The fetch that is under way, or a new one; None when it is too soon."""
        with self._lock:
            run = self._flight.current()
            if run is not None:
                return run
            now = self._clock.now()
            if self._tried is not None and now.since(self._tried) < _COOLDOWN:
                return None
            self._tried = now
            return self._flight.start()

    def _landed(self, run: Run[bool] | None, timeout: float | None) -> bool:
        """Whether the fetch was good, as far as is known in time."""
        if run is None:
            return False
        try:
            return self._flight.wait(run, timeout)
        except RequestTimeoutError:
            return False

    def _fetch(self) -> bool:
        try:
            keys, tag = self._get(self._tag)
        except AgentIdPError as error:
            _log.warning("the issuer's key set cannot be fetched; the last good one stays: %s", error)
            return False
        with self._lock:
            if keys is not None:
                self._keys, self._tag = keys, tag
            self._confirmed = self._clock.now()
            self._refresh_after = _TTL * (0.9 + 0.2 * self._clock.random())
        return True

    def _get(self, tag: str) -> tuple[KeySet | None, str]:
        """The set and its ETag; None when it is the one with this tag."""
        headers = {"Accept": "application/jwk-set+json, application/json", "User-Agent": USER_AGENT}
        if tag:
            headers["If-None-Match"] = tag
        answer = self._http.send(Request("GET", self._url, headers, limit=MAX_JWKS))
        if answer.status == 304 and tag:
            return None, tag
        if answer.status != 200:
            raise InvalidAnswerError(f"status {answer.status}")
        return parse_jwks(answer.body), answer.headers.get("etag", "")

    def _known_to_be_unknown(self, kid: str) -> bool:
        with self._lock:
            since = self._unknown.get(kid)
            return since is not None and self._clock.now().since(since) < _TTL

    def _remember(self, kid: str) -> None:
        with self._lock:
            self._unknown[kid] = self._clock.now()
            self._unknown.move_to_end(kid)
            if len(self._unknown) > _MAX_UNKNOWN:
                self._unknown.popitem(last=False)
