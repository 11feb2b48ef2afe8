"""Prints how long 1,000 calls through the sidecar take with a kept token, one after the other on one connection."""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import httpx

import agentidp
from stage import Stage

_CALLS = 1000


def blocking(stage: Stage, config: agentidp.Config) -> float:
    with httpx.Client(base_url=stage.sidecar, auth=agentidp.TokenAuth(agentidp.TokenSource(config))) as api:
        api.get("/notes").raise_for_status()
        began = time.perf_counter()
        for _ in range(_CALLS):
            api.get("/notes").raise_for_status()
        return time.perf_counter() - began


async def awaiting(stage: Stage, config: agentidp.Config) -> float:
    auth = agentidp.AsyncTokenAuth(agentidp.AsyncTokenSource(config))
    async with httpx.AsyncClient(base_url=stage.sidecar, auth=auth) as api:
        (await api.get("/notes")).raise_for_status()
        began = time.perf_counter()
        for _ in range(_CALLS):
            (await api.get("/notes")).raise_for_status()
        return time.perf_counter() - began


def main() -> None:
    stage = Stage()
    try:
        config = stage.register().config(stage.idp, resource=stage.resource)
        runs = [blocking(stage, config) for _ in range(3)]
        print(f"httpx.Client: {statistics.median(runs):.2f} s")
        runs = [asyncio.run(awaiting(stage, config)) for _ in range(3)]
        print(f"httpx.AsyncClient: {statistics.median(runs):.2f} s")
    finally:
        stage.close()


if __name__ == "__main__":
    main()
