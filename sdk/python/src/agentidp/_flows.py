"""The auth flow, which httpx and httpx2 have alike."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import Any

from ._async.source import AsyncTokenSource
from ._sync.source import TokenSource


class SyncFlow:
    """Of clients that block."""

    def __init__(self, source: TokenSource) -> None:
        self._source = source

    def auth_flow(self, request: Any) -> Generator[Any, Any, None]:  # noqa: ARG002
        """What the other kind of client would use, and then send no token."""
        raise TypeError("an async client needs AsyncTokenAuth with an AsyncTokenSource")

    def sync_auth_flow(self, request: Any) -> Generator[Any, Any, None]:
        """Adds the token."""
        token = self._source.token().access_token
        request.headers["Authorization"] = f"Bearer {token}"
        kept = _kept(request)
        response = yield request
        if kept and _refused(response) and self._source.reject(token):
            request.headers["Authorization"] = f"Bearer {self._source.token().access_token}"
            yield request


class AsyncFlow:
    """Of clients that await."""

    def __init__(self, source: AsyncTokenSource) -> None:
        self._source = source

    def auth_flow(self, request: Any) -> Generator[Any, Any, None]:  # noqa: ARG002
        """What the other kind of client would use, and then send no token."""
        raise TypeError("a client that blocks needs TokenAuth with a TokenSource")

    async def async_auth_flow(self, request: Any) -> AsyncGenerator[Any, Any]:
        """Adds the token."""
        token = (await self._source.token()).access_token
        request.headers["Authorization"] = f"Bearer {token}"
        kept = _kept(request)
        response = yield request
        if kept and _refused(response) and self._source.reject(token):
            request.headers["Authorization"] = f"Bearer {(await self._source.token()).access_token}"
            yield request


def _kept(request: Any) -> bool:
    """Whether its body is in memory: what is streamed can be sent once."""
    return type(request.stream).__name__ == "ByteStream"


def _refused(response: Any) -> bool:
    """A 401 to a request that carried the token, not to one that was redirected elsewhere without it."""
    return response.status_code == 401 and "Authorization" in response.request.headers
