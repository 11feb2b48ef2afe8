"""Tokens on every request of an httpx2 client, which the `mcp` package uses. Needs httpx2: `agentidp[httpx2]`."""

from __future__ import annotations

import httpx2

from ._flows import AsyncFlow, SyncFlow


class TokenAuth(SyncFlow, httpx2.Auth):
    """For `httpx2.Client(auth=…)`: every request carries a fresh token. After a 401 another token is tried once, if the
    request can be sent again."""


class AsyncTokenAuth(AsyncFlow, httpx2.Auth):
    """For `httpx2.AsyncClient(auth=…)`: as TokenAuth."""
