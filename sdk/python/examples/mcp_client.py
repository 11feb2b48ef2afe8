"""An MCP client with a token of AgentIdP. Needs `mcp` and `agentidp[httpx2]`.

AGENTIDP_URL=… AGENTIDP_CLIENT_ID=… AGENTIDP_CLIENT_SECRET=… MCP_URL=https://tools.example.com/mcp python mcp_client.py
"""

from __future__ import annotations

import asyncio
import os

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

import agentidp
from agentidp.httpx2 import AsyncTokenAuth


async def main() -> None:
    url = os.environ["MCP_URL"]
    source = agentidp.AsyncTokenSource(agentidp.Config.from_environment(resource=url))
    async with (
        httpx2.AsyncClient(auth=AsyncTokenAuth(source)) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        listed = await client.list_tools()
        print("tools:", ", ".join(tool.name for tool in listed.tools))
        result = await client.call_tool("add", {"a": 1, "b": 2})
        print("1 + 2 =", result.content[0].text)  # type: ignore[union-attr]


if __name__ == "__main__":
    asyncio.run(main())
