"""Tokens on every request of an httpx client."""

from __future__ import annotations

import httpx

from ._flows import AsyncFlow, SyncFlow


class TokenAuth(SyncFlow, httpx.Auth):
    """For `httpx.Client(auth=…)`: every request carries a fresh token. After a 401 another token is tried once, if the
    request can be sent again."""


class AsyncTokenAuth(AsyncFlow, httpx.Auth):
    """For `httpx.AsyncClient(auth=…)`: as TokenAuth."""
