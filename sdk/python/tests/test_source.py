"""The token source beyond the vectors: many callers, limits, secrets."""

from __future__ import annotations

import asyncio
import base64
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qsl

import httpx
import pytest

import agentidp
from agentidp._async.platform import AsyncClock, AsyncHTTP
from agentidp._sync.platform import HTTP, Clock
from agentidp._wire import Request
from conftest import URL, Half, config, good_token, settle, vectors


async def test_the_request_is_rfc_6749(half: Half) -> None:
    requests: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return good_token()

    made = config(url=URL + "/", resource=["https://a", "https://b"], scope="notes:read notes:write")
    source = half.source(made, http_client=half.http(answer, auth=("other", "auth"), follow_redirects=True))
    assert (await settle(source.token())).scope == "notes:read"
    [request] = requests
    assert request.url == f"{URL}/api/v1/token"
    assert request.headers["Authorization"] == "Basic " + base64.b64encode(b"id%2B1:se%3Acret").decode()
    assert parse_qsl(request.content.decode()) == [
        ("grant_type", "client_credentials"),
        ("resource", "https://a"),
        ("resource", "https://b"),
        ("scope", "notes:read notes:write"),
    ]


def test_many_threads_share_one_request() -> None:
    asked, go, threads = [], threading.Event(), 50

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        assert go.wait(30)
        return good_token(len(asked))

    source = agentidp.TokenSource(config(), http_client=httpx.Client(transport=httpx.MockTransport(answer)))
    arrived = threading.Barrier(threads + 1)

    def call() -> str:
        arrived.wait(30)
        return source.token().access_token

    with ThreadPoolExecutor(threads) as pool:
        calls = [pool.submit(call) for _ in range(threads)]
        arrived.wait(30)
        go.set()
        assert {call.result(30) for call in calls} == {"token-1"}
    assert len(asked) == 1


async def test_many_tasks_share_one_request_and_one_that_leaves_ends_nothing() -> None:
    asked, go = [], asyncio.Event()

    async def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        await go.wait()
        return good_token(len(asked))

    source = agentidp.AsyncTokenSource(config(), http_client=httpx.AsyncClient(transport=httpx.MockTransport(answer)))
    calls = [asyncio.create_task(source.token()) for _ in range(50)]
    with pytest.raises(agentidp.RequestTimeoutError):
        await source.token(timeout=0.001)
    calls[0].cancel()
    go.set()
    tokens = await asyncio.gather(*calls[1:])
    assert {token.access_token for token in tokens} == {"token-1"}
    assert len(asked) == 1


def test_a_caller_that_waits_no_longer_ends_nothing() -> None:
    go = threading.Event()

    def answer(request: httpx.Request) -> httpx.Response:
        assert go.wait(30)
        return good_token()

    source = agentidp.TokenSource(config(), http_client=httpx.Client(transport=httpx.MockTransport(answer)))
    with pytest.raises(agentidp.RequestTimeoutError):
        source.token(timeout=0.001)
    go.set()
    assert source.token().access_token == "token-1"


def test_one_source_for_event_loops_one_after_the_other() -> None:
    """A request that an ended loop took with it is begun again."""
    hang = True

    async def answer(request: httpx.Request) -> httpx.Response:
        if hang:
            await asyncio.Event().wait()
        return good_token()

    async def once(timeout: float | None) -> str:
        return (await source.token(timeout)).access_token

    source = agentidp.AsyncTokenSource(config(), http_client=httpx.AsyncClient(transport=httpx.MockTransport(answer)))
    with pytest.raises(agentidp.RequestTimeoutError):
        asyncio.run(once(0.001))
    hang = False
    assert asyncio.run(once(None)) == "token-1"


def test_a_fork_begins_anew() -> None:
    source = agentidp.TokenSource(
        config(), http_client=httpx.Client(transport=httpx.MockTransport(lambda _: good_token()))
    )
    source._flight.start()
    source._flight._process = os.getpid() - 1  # as a child finds it
    assert not source._flight.under_way()
    assert source.token().access_token == "token-1"


async def test_a_token_that_expired_on_its_way_is_not_given(half: Half) -> None:
    time = half.time()

    def answer(request: httpx.Request) -> httpx.Response:
        time.at += 61
        return good_token(1, 60)

    with pytest.raises(agentidp.InvalidAnswerError, match="expired"):
        await settle(half.source(config(), http_client=half.http(answer), clock=time).token())


async def test_thirty_seconds_are_enough_for_all_attempts(half: Half) -> None:
    time, asked = half.time(), []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.extensions["timeout"]["read"])
        time.at += 12
        return httpx.Response(503)

    with pytest.raises(agentidp.APIError):
        await settle(half.source(config(), http_client=half.http(answer), clock=time).token())
    assert asked == [10, 10, pytest.approx(6)]


async def test_rejected_tokens(half: Half) -> None:
    numbers = iter(range(1, 10))
    time = half.time()
    source = half.source(config(), http_client=half.http(lambda _: good_token(next(numbers))), clock=time)
    assert (await settle(source.token())).access_token == "token-1"
    assert source.reject("token-0"), "another one is kept already"
    assert (await settle(source.token())).access_token == "token-1"
    assert source.reject("token-1")
    assert source.reject("token-1"), "another one is coming already"
    assert (await settle(source.token())).access_token == "token-2"
    assert not source.reject("token-2"), "one in ten seconds"
    time.at += 10
    assert source.reject("token-2")


def test_what_cannot_work_is_said_at_once() -> None:
    for broken in ({"client_id": ""}, {"client_secret": ""}, {"url": "https://[::1"}, {"url": "https://a b:99999"}):
        with pytest.raises(agentidp.ConfigurationError):
            agentidp.TokenSource(config(**broken))
    key = agentidp.PrivateKey.from_pem(KEY)
    with pytest.raises(agentidp.ConfigurationError, match="both"):
        agentidp.TokenSource(config(private_key=key))
    source = agentidp.TokenSource(config(client_secret="", private_key=key))
    with pytest.raises(agentidp.ConfigurationError):
        source.use_secret("s")
    assert "se:cret" not in repr(config())
    with pytest.raises(agentidp.ConfigurationError):
        agentidp.Client(config(url="ftp://x"))


async def test_a_clock_that_was_set_back_keeps_no_dead_token(half: Half) -> None:
    numbers = iter(range(1, 10))
    time = half.time()
    source = half.source(config(), http_client=half.http(lambda _: good_token(next(numbers), 100)), clock=time)
    token = await settle(source.token())
    now = time.now()
    assert token.left(type(now)(now.monotonic + 200, now.wall - 1000)) < 0
    assert token.left(type(now)(now.monotonic + 1, now.wall + 200)) < 0, "the machine slept"


async def test_transport_errors_quote_no_header(half: Half) -> None:
    request = Request("GET", "http://127.0.0.1:1/", {"Authorization": "Bearer secret\n"})
    http = AsyncHTTP() if half.name == "async" else HTTP()
    with pytest.raises(agentidp.TransportError) as raised:
        await settle(http.send(request))
    assert "secret" not in str(raised.value)


async def test_time_limits(half: Half) -> None:
    def slow(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("slow")

    http = AsyncHTTP(half.http(slow)) if half.name == "async" else HTTP(half.http(slow))
    with pytest.raises(agentidp.RequestTimeoutError):
        await settle(http.send(Request("GET", URL)))


def test_an_answer_that_drips_is_cut_off() -> None:
    def drip(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=iter([b"a", b"b"]))

    http = HTTP(httpx.Client(transport=httpx.MockTransport(drip)))
    with pytest.raises(agentidp.RequestTimeoutError):
        http.send(Request("GET", URL, timeout=-1))


async def test_an_async_answer_that_never_ends_is_cut_off() -> None:
    async def hang(request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    http = AsyncHTTP(httpx.AsyncClient(transport=httpx.MockTransport(hang)))
    with pytest.raises(agentidp.RequestTimeoutError):
        await http.send(Request("GET", URL, timeout=0.001))


def test_real_clocks() -> None:
    for clock in (Clock(), AsyncClock()):
        assert 0 <= clock.random() < 1
        earlier = clock.now()
        assert clock.now().since(earlier) >= 0


KEY = vectors("keys.json")["privateKeys"]["client-ec"]
