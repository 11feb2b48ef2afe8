"""Lists and calls tools of the MCP server at URL with an access token.

Usage: mcp_client.py URL TOKEN. Prints what happened as one JSON object.
"""

import asyncio
import json
import sys

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client


async def attempt(call):
    try:
        result = await call
    except BaseException as error:  # whatever its kind, it is what a user gets to see
        return {"error": str(error) or type(error).__name__}
    return {"text": "".join(part.text for part in result.content), "isError": bool(result.is_error)}


async def main(url, token):
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx2.AsyncClient(headers=headers, timeout=10) as http:
        async with Client(streamable_http_client(url, http_client=http)) as client:
            tools = [tool.name for tool in (await client.list_tools()).tools]
            echo = await attempt(client.call_tool("echo", {"text": "hello"}))
            refused = await attempt(client.call_tool("delete_all", {}))
    print(json.dumps({"tools": sorted(tools), "echo": echo, "refused": refused}))


asyncio.run(main(*sys.argv[1:]))
