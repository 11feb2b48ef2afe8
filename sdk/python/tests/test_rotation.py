"""A rotation of one's own credential that goes wrong."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest

import agentidp
from agentidp._wire import Answer, refusal
from conftest import Half, config, settle

OWN = "e30." + base64.urlsafe_b64encode(b'{"sub":"a"}').rstrip(b"=").decode() + ".eA"
CREDENTIAL = {
    "credentialId": "c",
    "clientId": "id+1",
    "agentId": "a",
    "authMethod": "client_secret",
    "status": "active",
    "createdAt": "2026-11-02T08:00:00Z",
}


class Idp:
    """Answers rotations with what `rotate` does, and remembers who asked for tokens and for rotations."""

    def __init__(self, rotate: Any) -> None:
        self.rotate = rotate
        self.users: list[str] = []
        self.rotations: list[dict[str, Any]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/v1/token":
            self.users.append(base64.b64decode(request.headers["Authorization"][6:]).decode())
            return httpx.Response(200, json={"access_token": OWN, "token_type": "Bearer", "expires_in": 3600})
        if request.method == "GET":
            return httpx.Response(200, json={"data": [CREDENTIAL], "total": 1, "page": 1, "limit": 100})
        self.rotations.append(json.loads(request.content))
        answer: httpx.Response = self.rotate(len(self.rotations))
        return answer


async def test_a_lost_secret(half: Half) -> None:
    def rotate(attempt: int) -> httpx.Response:
        if attempt == 1:
            raise httpx.ReadError("the connection broke")
        return httpx.Response(409, json={"code": "INVALID_STATE", "message": "m", "details": {"credentialId": "c"}})

    idp, time = Idp(rotate), half.time()
    stored: list[Any] = []
    http = half.http(idp)
    client, source = (
        half.client(config(), http_client=http, clock=time),
        half.source(config(), http_client=http, clock=time),
    )
    with pytest.raises(agentidp.SecretLostError) as raised:
        await settle(half.rotate(client, half.callback(stored.append), source))
    assert (raised.value.credential_id, raised.value.old_secret_until.timestamp()) == ("c", time.at + 3600)
    assert (len(idp.rotations), stored) == (2, []), "nothing was rotated again"
    idp.users.clear()
    client.tokens.forget()
    await settle(client.tokens.token())
    await settle(source.token())
    assert idp.users == ["id%2B1:se%3Acret"] * 2


async def test_part_of_a_second_of_overlap_is_a_whole_one(half: Half) -> None:
    idp = Idp(lambda _: httpx.Response(200, json={**CREDENTIAL, "clientSecret": "new"}))
    client = half.client(config(), http_client=half.http(idp), clock=half.time())
    for overlap in (0.2, 1, 1.5):
        await settle(half.rotate(client, half.callback(lambda _: None), overlap_seconds=overlap))
    await settle(client.rotate_credential("a", "c", overlap_seconds=0.001))
    await settle(client.rotate_credential("a", "c"))
    assert [body.get("overlapSeconds", 0) for body in idp.rotations] == [1, 1, 2, 1, 0]


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("9" * 5000, 2.0**31),
        ("00000000000000000007", 7),
        ("Fri, 31 Dec 9999 23:59:59 +9999999999999", 0),
        ("Fri, 31 Dec 99999 23:59:59 GMT", 0),
        ("1e300", 0),
        ("inf", 0),
        ("٣", 0),
    ],
)
def test_absurd_pauses(said: str, seconds: float) -> None:
    headers = httpx.Headers([(b"Retry-After", said.encode())])
    assert refusal(Answer(503, headers, b"")).retry_after == seconds
