"""Both halves of the SDK run every test that has a `half`."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

import agentidp
from agentidp._async.platform import AsyncClock
from agentidp._sync.platform import Clock
from agentidp._token import Moment
from stage import Stage

T = TypeVar("T")
VECTORS = Path(__file__).parents[2] / "testdata"
URL = "https://idp.example.com"


def vectors(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((VECTORS / name).read_text())
    return loaded


def rows(name: str, member: str = "cases") -> list[Any]:
    return [pytest.param(row, id=row["name"]) for row in vectors(name)[member]]


async def settle(value: Any) -> Any:
    """The result of a call of either half."""
    return await value if inspect.isawaitable(value) else value


async def collect(entries: Any) -> list[Any]:
    """All that an iterator of either half brings."""
    if hasattr(entries, "__aiter__"):
        return [entry async for entry in entries]
    return list(entries)


@dataclass
class Time:
    """A clock that moves when it is told, and pauses that take no time."""

    at: float = 1793606400.0
    chance: float = 0.5
    pauses: list[float] = field(default_factory=list)

    def now(self) -> Moment:
        return Moment(self.at, self.at)

    def random(self) -> float:
        return self.chance


class SyncTime(Time, Clock):
    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)


class AsyncTime(Time, AsyncClock):
    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)


Handler = Callable[[httpx.Request], httpx.Response]


@dataclass
class Half:
    """The names of one half of the SDK."""

    name: str
    opened: list[Any] = field(default_factory=list)

    def _pick(self, name: str) -> Any:
        return getattr(agentidp, f"Async{name}" if self.name == "async" else name)

    def client(self, *arguments: Any, **options: Any) -> Any:
        return self._open(self._pick("Client")(*arguments, **options))

    def _open(self, made: Any) -> Any:
        self.opened.append(made)
        return made

    async def close(self) -> None:
        for made in self.opened:
            await settle(made.aclose() if self.name == "async" else made.close())

    @property
    def source(self) -> Any:
        return self._pick("TokenSource")

    @property
    def verifier(self) -> Any:
        return self._pick("Verifier")

    @property
    def auth(self) -> Any:
        return self._pick("TokenAuth")

    @property
    def rotate(self) -> Any:
        return agentidp.async_rotate_own_credential if self.name == "async" else agentidp.rotate_own_credential

    def time(self) -> Any:
        return AsyncTime() if self.name == "async" else SyncTime()

    def http(self, handler: Handler | None = None, **options: Any) -> Any:
        """A client of httpx; with a handler, it answers."""
        if handler is not None:
            options["transport"] = httpx.MockTransport(handler)
        return self._open(httpx.AsyncClient(**options) if self.name == "async" else httpx.Client(**options))

    async def landed(self, flight: Any) -> None:
        """Waits for work in the background."""
        run = flight._task if self.name == "async" else flight._run
        if run is None:
            return
        if self.name == "async":
            await asyncio.wait([run])
        else:
            run.exception(timeout=10)

    def callback(self, do: Callable[[Any], None]) -> Any:
        if self.name == "sync":
            return do

        async def later(value: Any) -> None:
            do(value)

        return later


@pytest.fixture(params=["sync", "async"])
async def half(request: pytest.FixtureRequest) -> AsyncIterator[Half]:
    made = Half(request.param)
    yield made
    await made.close()


def config(**members: Any) -> agentidp.Config:
    return agentidp.Config(**{"url": URL, "client_id": "id+1", "client_secret": "se:cret", **members})


def good_token(number: int = 1, expires_in: int = 3600) -> httpx.Response:
    body = {"access_token": f"token-{number}", "token_type": "Bearer", "expires_in": expires_in, "scope": "notes:read"}
    return httpx.Response(200, json=body)


async def eventually(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """Waits up to 30 s for what happens elsewhere."""
    for _ in range(300):
        if await condition():
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"never: {what}")


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    """The real product; the tests that use it run one after the other."""
    made = Stage()
    yield made
    made.close()
