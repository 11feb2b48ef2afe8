"""Tokens on the requests of HTTP clients."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count

import httpx
import httpx2
import pytest
import requests

import agentidp
import agentidp.httpx2
import agentidp.requests
from conftest import Half, config, good_token, settle


def numbered(half: Half) -> agentidp.TokenSource:
    numbers = count(1)
    source: agentidp.TokenSource = half.source(config(), http_client=half.http(lambda _: good_token(next(numbers))))
    return source


async def test_every_request_carries_a_token_and_a_401_another_one(half: Half) -> None:
    seen: list[str] = []

    def api(request: httpx.Request) -> httpx.Response:
        seen.append(f"{request.headers['Authorization']} {request.content.decode()}")
        return httpx.Response(401 if request.headers["Authorization"] == "Bearer token-1" else 200)

    client = half.http(api, auth=half.auth(numbered(half)))
    assert (await settle(client.post("https://api.example.com/", content=b"body"))).status_code == 200
    assert (await settle(client.get("https://api.example.com/"))).status_code == 200
    assert seen == ["Bearer token-1 body", "Bearer token-2 body", "Bearer token-2 "]


async def test_an_api_that_refuses_everything_costs_no_tokens(half: Half) -> None:
    seen: list[str] = []

    def api(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["Authorization"])
        return httpx.Response(401)

    client = half.http(api, auth=half.auth(numbered(half)))
    for _ in range(3):
        assert (await settle(client.get("https://api.example.com/"))).status_code == 401
    assert seen == ["Bearer token-1", "Bearer token-2", "Bearer token-2", "Bearer token-2"]


async def test_what_is_streamed_is_not_sent_again(half: Half) -> None:
    seen: list[bytes] = []

    def api(request: httpx.Request) -> httpx.Response:
        seen.append(b"")
        return httpx.Response(401)

    async def later() -> object:
        yield b"part"

    content = later() if half.name == "async" else iter([b"part"])
    client = half.http(api, auth=half.auth(numbered(half)))
    assert (await settle(client.post("https://api.example.com/", content=content))).status_code == 401
    assert len(seen) == 1


async def test_a_redirect_elsewhere_takes_no_token_along(half: Half) -> None:
    seen: dict[str, str] = {}

    def api(request: httpx.Request) -> httpx.Response:
        seen[request.url.host] = request.headers.get("Authorization", "none")
        if request.url.host == "api.example.com":
            return httpx.Response(302, headers={"Location": "https://evil.example.com/"})
        return httpx.Response(401)

    client = half.http(api, auth=half.auth(numbered(half)), follow_redirects=True)
    assert (await settle(client.get("https://api.example.com/"))).status_code == 401
    assert seen == {"api.example.com": "Bearer token-1", "evil.example.com": "none"}


def test_the_wrong_half_sends_nothing_without_a_token() -> None:
    request = httpx.Request("GET", "https://api.example.com/")
    with pytest.raises(TypeError, match="AsyncTokenAuth"):
        next(agentidp.TokenAuth(numbered(Half("sync"))).auth_flow(request))
    with pytest.raises(TypeError, match="TokenAuth"):
        agentidp.AsyncTokenAuth(agentidp.AsyncTokenSource(config())).auth_flow(request)


def test_httpx2() -> None:
    def api(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(401 if request.headers["Authorization"] == "Bearer token-1" else 200)

    auth = agentidp.httpx2.TokenAuth(numbered(Half("sync")))
    with httpx2.Client(transport=httpx2.MockTransport(api), auth=auth) as client:
        assert client.get("https://api.example.com/").status_code == 200


class Api(BaseHTTPRequestHandler):
    """Refuses the first token, and leads one path elsewhere."""

    seen: list[str] = []  # noqa: RUF012 - each server has a class of its own

    def do_GET(self) -> None:
        self.seen.append(self.headers.get("Authorization", "none"))
        refused = self.seen[-1] == "Bearer token-1"
        self.send_response(302 if self.path == "/away" else 401 if refused or self.path == "/elsewhere" else 200)
        if self.path == "/away":
            self.send_header("Location", f"http://localhost:{self.headers['Host'].split(':')[1]}/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.do_GET()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def api() -> Iterator[tuple[str, list[str]]]:
    class Handler(Api):
        seen: list[str] = []  # noqa: RUF012

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", Handler.seen
        server.shutdown()
        thread.join()


def test_requests(api: tuple[str, list[str]]) -> None:
    url, seen = api
    with requests.Session() as session:
        session.auth = agentidp.requests.TokenAuth(numbered(Half("sync")))
        answer = session.post(url, data=b"body", timeout=30)
        assert (answer.status_code, [a.status_code for a in answer.history]) == (200, [401])
        assert session.get(url, timeout=30).status_code == 200
        assert seen == ["Bearer token-1", "Bearer token-2", "Bearer token-2"]
        assert session.get(url + "/elsewhere", timeout=30).status_code == 401, "one token in ten seconds"


def test_requests_redirected_elsewhere(api: tuple[str, list[str]]) -> None:
    url, seen = api
    with requests.Session() as session:
        session.trust_env = False  # no netrc of whoever runs this
        answer = session.get(url + "/away", auth=agentidp.requests.TokenAuth(numbered(Half("sync"))), timeout=30)
    assert answer.status_code == 401
    assert seen == ["Bearer token-1", "none"]


def test_requests_streamed(api: tuple[str, list[str]]) -> None:
    url, seen = api
    with requests.Session() as session:
        auth = agentidp.requests.TokenAuth(numbered(Half("sync")))
        assert session.post(url, data=iter([]), auth=auth, timeout=30).status_code == 401
    assert seen == ["Bearer token-1"]
