"""An MCP server with three tools. Usage: mcp_server.py PORT PATH."""

import sys

from mcp.server.mcpserver import MCPServer

server = MCPServer("tools")


@server.tool()
def echo(text: str) -> str:
    """Gives the text back."""
    return text


@server.tool()
def add(a: int, b: int) -> str:
    """Adds two numbers."""
    return str(a + b)


@server.tool()
def delete_all() -> str:
    """Deletes everything."""
    return "deleted"


server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]), streamable_http_path=sys.argv[2])
