"""Servers that verify: the ASGI middleware, the FastAPI dependency, the examples."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from mcp.server.mcpserver import MCPServer

import agentidp
from agentidp._bearer import credential, refused
from agentidp.asgi import BearerMiddleware
from agentidp.errors import AgentIdPError, MissingTokenError, UnavailableError
from stage import Stage, free

EXAMPLES = Path(__file__).parents[1] / "examples"


@contextmanager
def serving(app: Any) -> Iterator[None]:
    """Runs an ASGI application in a thread."""
    server = uvicorn.Server(app)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        for _ in range(600):
            if server.started:
                break
            time.sleep(0.05)
        assert server.started
        yield
    finally:
        server.should_exit = True
        thread.join()


def example(name: str, **environment: str) -> str:
    environ = {"PATH": os.environ["PATH"], **environment}
    ran = subprocess.run(
        [sys.executable, str(EXAMPLES / name)], env=environ, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def credentials(config: agentidp.Config) -> dict[str, str]:
    return {
        "AGENTIDP_URL": config.url,
        "AGENTIDP_CLIENT_ID": config.client_id,
        "AGENTIDP_CLIENT_SECRET": config.client_secret,
    }


def test_an_agent_calls_an_api(stage: Stage) -> None:
    agent = stage.register("notes:read", "notes:write")
    printed = example("agent_calls_api.py", NOTES_URL=stage.resource, **credentials(agent.config(stage.idp)))
    assert printed.splitlines()[0] == "wrote hello"
    assert printed.strip().endswith(agent.agent_id)


def test_an_mcp_client(stage: Stage) -> None:
    address = free()
    url = f"http://{address}/mcp"
    tools = MCPServer("tools")

    @tools.tool()
    def add(a: int, b: int) -> int:
        """Adds."""
        return a + b

    verifier = agentidp.AsyncVerifier(issuer=stage.idp, audience=url)
    app = BearerMiddleware(tools.streamable_http_app(), verifier, capability="mcp:use")
    with serving(uvicorn.Config(app, port=int(address.split(":")[1]), log_level="error")):
        assert httpx.post(url, timeout=60).status_code == 401
        printed = example("mcp_client.py", MCP_URL=url, **credentials(stage.register("mcp:use").config(stage.idp)))
    assert printed == "tools: add\n1 + 2 = 3\n"


def test_an_agent_rotates_its_secret(stage: Stage, tmp_path: Path) -> None:
    config = stage.register().config(stage.idp)
    file = tmp_path / "credentials.json"
    file.write_text(json.dumps({"clientId": config.client_id, "clientSecret": config.client_secret}))
    printed = example("rotate_secret.py", AGENTIDP_URL=stage.idp, AGENTIDP_CREDENTIALS_FILE=str(file))
    assert printed == f"rotated {config.client_id}\n"
    stored = agentidp.Config.from_file(file, url=stage.idp)
    assert stored.client_secret != config.client_secret
    assert agentidp.TokenSource(stored).token().access_token


def test_a_fastapi_server(stage: Stage) -> None:
    address = free()
    audience = f"http://{address}"
    environ = {**os.environ, "AGENTIDP_URL": stage.idp, "AUDIENCE": audience, "PORT": address.split(":")[1]}
    process = subprocess.Popen([sys.executable, str(EXAMPLES / "fastapi_server.py")], env=environ)
    try:
        for _ in range(600):
            assert process.poll() is None
            try:
                httpx.get(f"{audience}/healthz", timeout=60)
                break
            except httpx.TransportError:
                time.sleep(0.1)
        reader, writer = stage.register("notes:*"), stage.register("notes:write")
        with httpx.Client(base_url=audience, timeout=60) as anybody:
            refusal = anybody.get("/whoami")
            assert (refusal.status_code, refusal.headers["WWW-Authenticate"]) == (401, "Bearer")
            refusal = anybody.get("/whoami", headers={"Authorization": "Bearer a.b.c"})
            assert (refusal.status_code, refusal.headers["WWW-Authenticate"]) == (401, 'Bearer error="invalid_token"')
            schemes = anybody.get("/openapi.json").json()["components"]["securitySchemes"]
            assert schemes["agentidp"]["scheme"] == "bearer"
        for agent, status in ((reader, 200), (writer, 403)):
            source = agentidp.TokenSource(agent.config(stage.idp, resource=audience))
            with httpx.Client(base_url=audience, auth=agentidp.TokenAuth(source), timeout=60) as api:
                answer = api.get("/whoami")
                assert answer.status_code == status, answer.text
                if status == 200:
                    assert answer.json() == {"agent": reader.agent_id, "scope": "notes:*"}
    finally:
        process.terminate()
        process.wait(60)


async def inner(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "inner", "claims": scope.get("state", {}).get("claims")})


async def call(middleware: BearerMiddleware, scope: dict[str, Any]) -> list[Any]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    await middleware({"headers": [], "path": "/", **scope}, receive, send)
    return sent


async def test_the_middleware(stage: Stage) -> None:
    verifier = agentidp.AsyncVerifier(issuer=stage.idp, audience=stage.resource)
    middleware = BearerMiddleware(inner, verifier, capability="notes:read", public=["/healthz"])
    assert (await call(middleware, {"type": "lifespan"}))[0]["type"] == "inner"
    assert (await call(middleware, {"type": "http", "path": "/healthz"}))[0]["type"] == "inner"
    start, body = await call(middleware, {"type": "http"})
    assert start["status"] == 401
    assert json.loads(body["body"])["details"] == {"reason": "token_missing"}
    [closed] = await call(middleware, {"type": "websocket"})
    assert (closed["type"], closed["code"]) == ("websocket.close", 1008)
    agent = stage.register("notes:*")
    token = agentidp.TokenSource(agent.config(stage.idp, resource=stage.resource)).token().access_token
    for kind in ("http", "websocket"):
        headers = [(b"Authorization", f"bearer {token}".encode())]
        [passed] = await call(middleware, {"type": kind, "headers": headers})
        assert passed["claims"].subject == agent.agent_id
        start, *_ = await call(middleware, {"type": "http", "headers": headers * 2})
        assert start["status"] == 401, "two credentials"
    elsewhere = BearerMiddleware(inner, verifier, capability="notes.x:read")
    start, _ = await call(elsewhere, {"type": "http", "headers": headers})
    assert start["status"] == 403
    assert dict(start["headers"])[b"www-authenticate"] == b'Bearer error="insufficient_scope", scope="notes.x:read"'


@pytest.mark.parametrize(
    "fields", [[], ["Bearer a", "Bearer a"], ["Basic a"], ["Bearer"], ["Bearer a b"], ["Bearer a,b"]]
)
def test_what_is_no_credential(fields: list[str]) -> None:
    with pytest.raises(MissingTokenError):
        credential(fields)


def test_what_cannot_be_judged_is_503() -> None:
    refusal = refused(UnavailableError("keys_stale", "m"))
    assert (refusal.status, refusal.body["details"]["reason"]) == (503, "keys_stale")
    with pytest.raises(AgentIdPError, match="other"):
        refused(AgentIdPError("other"))
