"""Middleware for ASGI applications: Starlette, FastAPI, Litestar, an MCP server. It needs none of them."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any

from ._async.verifier import AsyncVerifier
from ._bearer import credential, demand, refused
from .errors import AgentIdPError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class BearerMiddleware:
    """Lets requests with a good token through, and no others: `app.add_middleware(BearerMiddleware, verifier=…)`.

    The claims are in `scope["state"]["claims"]`, which is `request.state.claims` of Starlette and FastAPI. `capability`
    is what every token must carry; paths in `public` need no token.
    """

    def __init__(
        self, app: App, verifier: AsyncVerifier, *, capability: str = "", public: Collection[str] = ()
    ) -> None:
        self._app = app
        self._verifier = verifier
        self._capability = capability
        self._public = frozenset(public)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or scope.get("path") in self._public:
            await self._app(scope, receive, send)
            return
        try:
            fields = [v.decode("latin-1") for name, v in scope["headers"] if name.lower() == b"authorization"]
            claims = await self._verifier.verify(credential(fields))
            demand(claims, self._capability)
        except AgentIdPError as error:
            await _refuse(scope, receive, send, error)
            return
        await self._app({**scope, "state": {**scope.get("state", {}), "claims": claims}}, receive, send)


async def _refuse(scope: Scope, receive: Receive, send: Send, error: AgentIdPError) -> None:
    refusal = refused(error)
    if scope["type"] == "websocket":
        await receive()  # websocket.connect
        await send({"type": "websocket.close", "code": 1008, "reason": refusal.body["details"]["reason"]})
        return
    body = json.dumps(refusal.body).encode()
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **refusal.headers}
    fields = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": refusal.status, "headers": fields})
    await send({"type": "http.response.body", "body": body})
