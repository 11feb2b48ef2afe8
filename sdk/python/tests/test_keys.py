"""The key set beyond the vectors: what threads and tasks do at the same time, and ETags."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from agentidp._jwks import parse_jwks
from agentidp.errors import UnavailableError
from conftest import URL, Half, settle
from issuer import KIDS, key_set


def source(half: Half, handler: Any, time: Any) -> Any:
    return half.verifier(issuer=URL, audience="a", http_client=half.http(handler), clock=time)._keys


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("async", "sync"):
        monkeypatch.setattr(f"agentidp._{name}.keys._REFETCH_WAIT", 60.0)  # the machine may be slow


async def test_a_fetch_that_ends_between_the_look_and_the_wait(half: Half) -> None:
    time = half.time()
    keys = source(half, lambda _: httpx.Response(200, content=key_set("a")), time)
    await settle(keys.key(KIDS["a"]))

    def landed_meanwhile() -> None:
        keys._keys = parse_jwks(key_set("a and b"))  # and a new one would be too soon

    keys._take_off = landed_meanwhile
    assert await settle(keys.key(KIDS["b"]))


async def test_a_refresh_that_lands_at_once_tells_what_there_is_not(half: Half) -> None:
    time, fetches = half.time(), []

    def answer(_: httpx.Request) -> httpx.Response:
        fetches.append(1)
        return httpx.Response(200, content=key_set("a"))

    keys = source(half, answer, time)
    await settle(keys.key(KIDS["a"]))
    take_off = keys._take_off

    def landed_at_once() -> Any:
        run = take_off()
        if run is not None and half.name == "sync":
            keys._flight.wait(run, 60.0)
        return run

    keys._take_off = landed_at_once
    for later in (1_000, 11):
        time.at += later
        with pytest.raises(KeyError):
            await settle(keys.key(KIDS["b"]))
    assert len(fetches) == 2


async def test_the_set_at_hand_is_asked_for_by_its_etag(half: Half) -> None:
    time, tags = half.time(), []
    answers: dict[str, Any] = {"status_code": 200, "content": key_set("a"), "headers": {"ETag": '"1"'}}

    def answer(request: httpx.Request) -> httpx.Response:
        tags.append(request.headers.get("If-None-Match", ""))
        return httpx.Response(**answers)

    keys, start = source(half, answer, time), time.at

    async def known(at: float, name: str) -> bool:
        time.at = start + at
        try:
            await settle(keys.key(KIDS[name]))
        except KeyError:
            return False
        finally:
            await half.landed(keys._flight)
        return True

    assert await known(0, "a")
    answers = {"status_code": 304}
    assert await known(80_000, "a")
    assert await known(86_401, "a"), "confirmed at 80000"
    assert not await known(90_000, "b"), "which is a good fetch"
    answers = {"status_code": 200, "content": key_set("a and b"), "headers": {"ETag": '"2"'}}
    assert not await known(90_011, "b"), "and not asked for again"
    assert tags == ["", '"1"', '"1"', '"1"']
    assert not await known(90_299, "b")
    assert await known(90_331, "b") in (True, False), "behind the request, or before it"
    assert await known(90_662, "b")
    assert await known(90_993, "b")
    assert tags[4:] == ['"1"', '"2"', '"2"']
    answers = {"status_code": 200, "content": key_set("a")}  # without a tag
    assert await known(91_324, "a")
    assert await known(91_655, "a")
    assert tags[7:] == ['"2"', ""]


async def test_a_304_to_a_request_without_a_tag_is_no_answer(half: Half) -> None:
    keys = source(half, lambda _: httpx.Response(304), half.time())
    with pytest.raises(UnavailableError, match="keys_stale"):
        await settle(keys.key(KIDS["a"]))
