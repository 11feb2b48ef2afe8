"""Status lists and introspection while the IdP is slow or away."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

import agentidp
from agentidp._claims import Status
from agentidp.errors import TokenRefusedError, UnavailableError
from conftest import URL, Half, config, good_token, settle, vectors
from issuer import LIST, key_set, status_list


class World:
    """Status lists whose fetches hang while `hanging` is set, and are answered with `answer`."""

    def __init__(self, half: Half) -> None:
        self.half, self.time = half, half.time()
        self.start: float = self.time.at
        self.fetched: list[str] = []
        self.sets = 0
        self.jwks = "a"
        self.answer: Any = self.list()
        self.hanging = self.keys_hang = False
        self._go, self._agreed = threading.Event(), asyncio.Event()
        http = httpx.Client(transport=httpx.MockTransport(self._sync))
        if half.name == "async":
            http = httpx.AsyncClient(transport=httpx.MockTransport(self._async))  # type: ignore[assignment]
        half.opened.append(http)
        self.http = http
        self.lists = half.verifier(
            issuer=URL, audience="a", revocation="status_list", http_client=http, clock=self.time
        )._lists

    def list(self, life: float = 3600, **members: Any) -> bytes:
        return status_list(self.start + life, **members)

    def _sync(self, request: httpx.Request) -> httpx.Response:
        said = self._answer(request)
        if self.hanging and (said is None or self.keys_hang):
            assert self._go.wait(60)
        return said or self._list(request)

    async def _async(self, request: httpx.Request) -> httpx.Response:
        said = self._answer(request)
        if self.hanging and (said is None or self.keys_hang):
            await self._agreed.wait()
        return said or self._list(request)

    def _answer(self, request: httpx.Request) -> httpx.Response | None:
        if request.url.path == "/.well-known/jwks.json":
            self.sets += 1
            return httpx.Response(200, content=key_set(self.jwks))
        self.fetched.append(str(request.url))
        return None

    def _list(self, request: httpx.Request) -> httpx.Response:
        if self.answer is None:
            raise httpx.ConnectError("connection refused")
        if self.answer == "of the address":
            return httpx.Response(200, content=self.list(uri=str(request.url)))
        return httpx.Response(200, content=self.answer)

    async def check(self, at: float, uri: str = LIST) -> str:
        self.time.at = self.start + at
        try:
            await settle(self.lists.check(Status(uri, 0)))
        except (TokenRefusedError, UnavailableError) as error:
            return error.reason
        return "accept"

    async def landed(self) -> None:
        for kept in self.lists._lists.values():
            await self.half.landed(kept._flight)

    def go(self) -> None:
        self.hanging = False
        self._go.set()
        self._agreed.set()

    @contextmanager
    def short_of_time(self) -> Iterator[None]:
        """Raises TimeoutError in who blocks, as signal handlers do; who awaits has a time limit of asyncio's."""
        if self.half.name == "async":
            yield
            return

        def late(*_: Any) -> None:
            raise TimeoutError

        before = signal.signal(signal.SIGALRM, late)
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    async def behind(self, number: int) -> None:
        """Waits until so many fetches have begun."""
        for _ in range(600):
            if len(self.fetched) >= number:
                return
            await asyncio.sleep(0.1)
        raise AssertionError(f"{len(self.fetched)} fetches")


async def settle_later(call: Any, *arguments: Any) -> Any:
    """As a coroutine, of either half."""
    return await settle(call(*arguments))


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("async", "sync"):
        monkeypatch.setattr(f"agentidp._{name}.keys._REFETCH_WAIT", 60.0)  # the machine may be slow
        monkeypatch.setattr(f"agentidp._{name}.statuslists._LONGEST_WAIT", 60.0)


async def test_a_list_that_is_held_answers_at_once_while_the_idp_hangs(half: Half) -> None:
    world = World(half)
    assert await world.check(0) == "accept"
    assert await world.check(14) == "accept"
    assert len(world.fetched) == 1
    world.hanging, world.answer = True, world.list(revoked=True)
    for _ in range(3):
        assert await world.check(15) == "accept"
    await world.behind(2)
    assert await world.check(100) == "accept", "its second time to live is over, but the fetch hangs"
    assert len(world.fetched) == 2
    world.go()
    await world.landed()
    assert await world.check(100) == "token_revoked"


async def test_a_list_that_nobody_asked_for_is_waited_for(half: Half) -> None:
    world = World(half)
    assert await world.check(0) == "accept"
    world.answer = world.list(revoked=True)
    assert await world.check(30) == "token_revoked"
    assert len(world.fetched) == 2


async def test_the_wait_has_an_end(half: Half, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(half)
    assert await world.check(0) == "accept"
    world.hanging = True
    monkeypatch.setattr(f"agentidp._{half.name}.statuslists._LONGEST_WAIT", 0.001)
    assert await world.check(30) == "accept"
    assert await world.check(30, f"{URL}/statuslists/1") == "revocations_stale"
    assert await world.check(40, f"{URL}/statuslists/1") == "revocations_stale", "it is older: nobody waits"
    world.go()
    await world.landed()


async def test_who_does_not_wait_learns_nothing(half: Half) -> None:
    """The older list counts while the IdP is away, not because the caller has no time."""
    world = World(half)
    assert await world.check(0) == "accept"
    world.hanging, world.answer = True, world.list(revoked=True)
    with pytest.raises(TimeoutError), world.short_of_time():
        await asyncio.wait_for(world.check(30), 0.5)
    assert len(world.fetched) == 2
    world.go()
    await world.landed()
    assert await world.check(30) == "token_revoked"
    assert len(world.fetched) == 2, "the fetch went on"


async def test_who_does_not_wait_for_the_keys_learns_nothing(half: Half) -> None:
    tokens, time = vectors("tokens.json"), half.time()
    [good] = [case["token"] for case in tokens["cases"] if case["name"] == "as the IdP makes it"]
    time.at = float(tokens["now"])
    world = World(half)
    world.jwks, world.hanging, world.keys_hang = tokens["jwks"], True, True
    verifier = half.verifier(issuer=tokens["issuer"], audience=tokens["audience"], http_client=world.http, clock=time)
    with pytest.raises(TimeoutError), world.short_of_time():
        await asyncio.wait_for(settle_later(verifier.verify, good), 0.5)
    world.go()
    await half.landed(verifier._keys._flight)
    assert (await settle(verifier.verify(good))).issuer == tokens["issuer"]
    assert world.sets == 1


async def test_a_list_counts_until_it_expires_when_fetches_fail(half: Half) -> None:
    world = World(half)
    world.answer = world.list(60)
    assert await world.check(0) == "accept"
    world.answer = None
    for at, fetches in ((15, 2), (15.9, 2), (16, 3), (30, 4)):
        assert await world.check(at) == "accept"
        await world.landed()
        assert len(world.fetched) == fetches, at
    world.answer = world.list(60, revoked=True)
    assert await world.check(45) == "token_revoked", "perhaps it is back: it is waited for"
    assert len(world.fetched) == 5
    world.answer = None
    assert await world.check(60) == "revocations_stale"
    assert await world.check(60) == "revocations_stale"
    assert len(world.fetched) == 6
    world.answer = world.list(60)
    assert await world.check(61) == "revocations_stale", "one that has expired is none"
    assert await world.check(61.5) == "revocations_stale"
    assert len(world.fetched) == 7


async def test_eight_fetches_behind_requests_at_most(half: Half) -> None:
    world = World(half)
    uris = [f"{URL}/statuslists/{number}" for number in range(9)]
    world.answer = "of the address"
    for uri in uris:
        assert await world.check(0, uri) == "accept"
    world.hanging = True
    for uri in uris:
        assert await world.check(15, uri) == "accept"
    await world.behind(9 + 8)
    assert sorted(world.fetched[9:]) == uris[:8]
    world.go()
    await world.landed()
    assert await world.check(15, uris[8]) == "accept"
    await world.landed()
    assert world.fetched[17:] == uris[8:]


async def test_a_list_signed_with_an_unknown_key_fetches_the_key_set_once(half: Half) -> None:
    world = World(half)
    world.answer = world.list(ttl=1)
    assert await world.check(0) == "accept"
    world.jwks, world.answer = "a and b", world.list(ttl=1, key="b", revoked=True)
    assert await world.check(9) == "accept", "the set was fetched nine seconds ago: the last good list"
    await world.landed()
    assert world.sets == 1
    assert await world.check(11) == "accept"
    await world.landed()
    assert world.sets == 2
    assert await world.check(11.5) == "token_revoked"
    assert (world.sets, len(world.fetched)) == (2, 3)


async def test_introspection_has_two_seconds_and_fails_closed(half: Half) -> None:
    tokens = vectors("tokens.json")
    [good] = [case["token"] for case in tokens["cases"] if case["name"] == "as the IdP makes it"]
    time, limits = half.time(), []
    time.at = float(tokens["now"])
    state: dict[str, Any] = {"slow": 0.0, "answer": {"active": True}}

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/jwks.json"):
            return httpx.Response(200, content=key_set("a and b"))
        if request.url.path == "/api/v1/token":
            return good_token()
        limits.append(request.extensions["timeout"]["read"])
        time.at += state["slow"]
        if state["answer"] is None:
            raise httpx.ConnectError("connection refused")
        return httpx.Response(503) if state["slow"] else httpx.Response(200, json=state["answer"])

    http = half.http(answer)
    client = half.client(config(), http_client=http, clock=time)
    verifier = half.verifier(
        issuer=tokens["issuer"], audience=tokens["audience"], revocation=client, http_client=http, clock=time
    )
    assert (await settle(verifier.verify(good))).issuer == tokens["issuer"]
    assert limits == [2]
    state["answer"] = {"active": False}
    with pytest.raises(TokenRefusedError, match="token_revoked"):
        await settle(verifier.verify(good))
    state["answer"] = None
    with pytest.raises(UnavailableError, match="revocations_stale"):
        await settle(verifier.verify(good))
    limits.clear()
    state.update(slow=0.8, answer={"active": True})
    with pytest.raises(UnavailableError, match="revocations_stale"):
        await settle(verifier.verify(good))
    assert limits == [2, pytest.approx(1.2), pytest.approx(0.4)], "all attempts together"


async def test_a_call_has_sixty_seconds(half: Half) -> None:
    time, limits = half.time(), []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/v1/token":
            return good_token()
        limits.append(request.extensions["timeout"]["read"])
        time.at += 29
        return httpx.Response(503)

    with pytest.raises(agentidp.APIError):
        await settle(half.client(config(), http_client=half.http(answer), clock=time).keys())
    assert limits == [30, 30, 2]


async def test_the_wait_for_a_token_is_of_the_call(half: Half) -> None:
    time = half.time()

    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/api/v1/token"
        time.at += 61
        return good_token()

    with pytest.raises(agentidp.RequestTimeoutError, match="60 s"):
        await settle(half.client(config(), http_client=half.http(answer), clock=time).keys())


async def test_retries_of_the_token_are_not_multiplied(half: Half) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        if request.url.path != "/api/v1/token":
            return httpx.Response(401, json={"code": "UNAUTHENTICATED", "message": "m", "details": {}})
        return good_token() if asked.count("/api/v1/token") == 1 else httpx.Response(503)

    client = half.client(config(), http_client=half.http(answer), clock=half.time())
    with pytest.raises(agentidp.APIError) as raised:
        await settle(client.keys())
    assert raised.value.status == 503
    assert (asked.count("/api/v1/token"), asked.count("/api/v1/keys")) == (5, 1)
