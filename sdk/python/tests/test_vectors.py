"""Every file of sdk/testdata, as its README says."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import jwt
import pytest

import agentidp
from agentidp._claims import Claims, Rules, Status
from agentidp._jwks import parse_jwks
from agentidp._wire import Answer, refusal
from agentidp.errors import (
    AgentIdPError,
    APIError,
    ConfigurationError,
    InvalidAnswerError,
    TokenRefusedError,
    TransportError,
    UnavailableError,
)
from conftest import URL, Half, config, good_token, rows, settle, vectors

KEYS = vectors("keys.json")["privateKeys"]
DOCUMENTS = {document["name"]: document for document in vectors("jwks.json")["documents"]}


def padded(case: dict[str, Any]) -> bytes:
    body: bytes = case["body"].encode()
    return body.ljust(case.get("padTo", 0))


@pytest.mark.parametrize("case", rows("token-responses.json"))
async def test_token_responses(half: Half, case: dict[str, Any]) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(case["status"], headers=case.get("headers"), content=padded(case))

    source = half.source(config(), http_client=half.http(answer), clock=half.time())
    if "token" in case:
        token = await settle(source.token())
        assert (token.access_token, token.expires_in, token.scope) == (
            case["token"]["accessToken"],
            case["token"]["expiresIn"],
            case["token"]["scope"],
        )
        return
    want = case["error"]
    with pytest.raises(AgentIdPError) as raised:
        await settle(source.token())
    if want["class"] == "invalid_answer":
        assert isinstance(raised.value, InvalidAnswerError)
        return
    error = raised.value
    assert isinstance(error, APIError)
    assert (error.status, error.code, error.message, error.request_id) == (
        want["status"],
        want["code"],
        want["message"],
        want["requestId"],
    )


@pytest.mark.parametrize("case", rows("errors.json"))
def test_errors(case: dict[str, Any]) -> None:
    error = refusal(Answer(case["status"], httpx.Headers(case["headers"]), case["body"].encode()))
    details: dict[str, Any] = {}
    if error.details.fields:
        details["fields"] = [{"field": f.field, "rule": f.rule} for f in error.details.fields]
    if error.details.reason:
        details["reason"] = error.details.reason
    if error.details.next_sequence is not None:
        details["nextSequence"] = error.details.next_sequence
    if error.details.credential_id:
        details["credentialId"] = error.details.credential_id
    assert case["error"] == {
        "status": error.status,
        "code": error.code,
        "message": error.message,
        "details": details,
        "requestId": error.request_id,
        "retryAfter": error.retry_after,
        "temporary": error.temporary,
    }


def scripted(operation: str, row: dict[str, Any]) -> httpx.Response:
    if "connection" in row:
        raise httpx.ConnectError("connection refused")
    headers = {name: row[key] for name, key in (("Retry-After", "retryAfter"), ("Date", "date")) if key in row}
    status, code, oauth = row["status"], row.get("code", ""), operation in ("token", "introspect")
    if "body" in row:
        return httpx.Response(status, headers=headers, content=row["body"])
    if status == 204:
        return httpx.Response(status)
    if status // 100 == 2:
        if operation == "token":
            return good_token()
        return httpx.Response(status, json={"active": False} if operation == "introspect" else AGENT)
    if not code:
        return httpx.Response(status, headers=headers)
    body = {"error": code} if oauth else {"code": code, "message": "m", "details": {}}
    return httpx.Response(status, headers=headers, json=body)


AGENT = {
    "agentId": "a",
    "organizationId": "default",
    "email": "a@example.com",
    "agentType": "custom",
    "version": "1.0.0",
    "capabilities": [],
    "owner": "o",
    "deploymentEnv": "staging",
    "status": "active",
    "createdAt": "2026-07-01T12:00:00.000Z",
    "updatedAt": "2026-07-01T12:00:00.000Z",
}
OPERATIONS: dict[str, Any] = {
    "get": lambda client: client.get_agent("a"),
    "post": lambda client: client.create_agent(
        email="a@example.com", agent_type="custom", version="1.0.0", owner="o", deployment_env="staging"
    ),
    "patch": lambda client: client.update_agent("a", owner="p"),
    "delete": lambda client: client.decommission_agent("a"),
    "introspect": lambda client: client.introspect("t"),
}


@pytest.mark.parametrize("case", rows("retries.json"))
@pytest.mark.parametrize("chance", [0.0, 0.999999])
async def test_retries(half: Half, case: dict[str, Any], chance: float) -> None:
    operation, answers, keys, tokens = case["operation"], iter(case["answers"]), [], count(1)
    seen = {"attempts": 0, "tokens": 0}

    def answer(request: httpx.Request) -> httpx.Response:
        if operation != "token" and request.url.path == "/api/v1/token":
            seen["tokens"] += 1
            return good_token(next(tokens))
        seen["attempts"] += 1
        keys.append(request.headers.get("Idempotency-Key", ""))
        return scripted(operation, next(answers))

    time, http = half.time(), half.http(answer)
    time.chance = chance
    if operation == "token":
        call = half.source(config(), http_client=http, clock=time).token
    else:
        client = half.client(config(), http_client=http, clock=time)

        def call() -> Any:
            return OPERATIONS[operation](client)

    if case["result"] == "success":
        await settle(call())
    else:
        with pytest.raises(AgentIdPError) as raised:
            await settle(call())
        error = raised.value
        if case["result"] == "refused":
            assert isinstance(error, APIError)
            assert (error.status, error.code) == (case["status"], case["code"])
        else:
            kind = {"connection": TransportError, "invalid_answer": InvalidAnswerError}[case["result"]]
            assert isinstance(error, kind)
    assert seen["attempts"] == case["attempts"]
    assert len(time.pauses) == len(case["pauses"])
    for pause, (least, most) in zip(time.pauses, case["pauses"], strict=True):
        assert least <= pause <= most + 1e-9
    if "tokens" in case:
        assert seen["tokens"] == case["tokens"]
    if operation == "post":
        assert len(set(keys)) == 1
        assert keys[0] != ""


@pytest.mark.parametrize("case", rows("lost-secrets.json"))
async def test_lost_secrets(half: Half, case: dict[str, Any]) -> None:
    time, keys = half.time(), []
    began = time.at

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/v1/token":
            return good_token()
        keys.append(request.headers["Idempotency-Key"])
        time.at = began + len(keys) - 1  # each attempt takes a second
        return scripted("rotate", case["answers"][len(keys) - 1])

    client, overlap = half.client(config(), http_client=half.http(answer), clock=time), case["overlapSeconds"]
    if case["result"] == "success":
        made = await settle(client.rotate_credential("a", "c", overlap_seconds=overlap))
        assert made.client_secret == "aidp_sk_2"
    else:
        with pytest.raises(AgentIdPError) as raised:
            await settle(client.rotate_credential("a", "c", overlap_seconds=overlap))
        error, cause = raised.value, raised.value.__cause__
        if case["result"] == "refused":
            assert isinstance(error, APIError)
            assert (error.status, error.code) == (case["status"], case["code"])
        else:
            assert isinstance(error, agentidp.SecretLostError)
            assert error.credential_id == case["credentialId"]
            assert began + overlap <= error.old_secret_until.timestamp() <= time.at + overlap
            assert isinstance(cause, APIError)
            assert (cause.status, cause.details.credential_id) == (409, "c")
            assert error.old_secret_until.isoformat() in str(error)
            assert "ends at once when the credential is rotated again" in str(error)
    assert len(keys) == case["attempts"]
    assert len(set(keys)) == 1
    assert keys[0] != ""


@pytest.mark.parametrize("case", rows("refresh.json", "scenarios"))
@pytest.mark.parametrize("chance", [0.0, 0.999999])
async def test_refresh(half: Half, case: dict[str, Any], chance: float) -> None:
    state: dict[str, Any] = {"answer": "", "asked": 0, "given": 0}

    def answer(request: httpx.Request) -> httpx.Response:
        state["asked"] += 1
        if state["answer"] != "good":
            return httpx.Response(400, json={"error": "unauthorized_client"})
        state["given"] += 1
        return good_token(state["given"], case["expiresIn"])

    time = half.time()
    time.chance = chance
    start = time.at
    source = half.source(config(), http_client=half.http(answer), clock=time)
    for step in case["steps"]:
        time.at, state["answer"] = start + step["at"], step["answer"]
        newest, asked = state["given"], state["asked"]
        got = ""
        try:
            got = (await settle(source.token())).access_token
        except APIError as error:
            assert (step["expect"], error.code) == ("error", "unauthorized_client")
        await half.landed(source._flight)
        requests = state["asked"] - asked
        match step["expect"]:
            case "new":
                assert (got, requests) == (f"token-{newest + 1}", 1), step
            case "cached":
                assert (got, requests) == (f"token-{newest}", 0), step
            case "ahead":
                assert (got, requests) == (f"token-{newest}", 1), step
            case "error":
                assert got == ""


@pytest.mark.parametrize("case", rows("credentials.json"))
def test_credentials(case: dict[str, Any], tmp_path: Path) -> None:
    for name, content in case.get("files", {}).items():
        (tmp_path / name).write_text(KEYS[content[1:]] if content.startswith("@") else content)
    environ = {
        name: str(tmp_path / value) if name.endswith("_FILE") and value else value
        for name, value in case["env"].items()
    }
    if "problem" in case:
        with pytest.raises(ConfigurationError) as raised:
            agentidp.Config.from_environment(environ=environ)
        assert all(part in str(raised.value) for part in case["problem"]), raised.value
        assert "aidp_sk_1" not in str(raised.value)
        return
    made, want = agentidp.Config.from_environment(environ=environ), case["expect"]
    assert (made.url, made.client_id) == (want["url"], want["clientId"])
    assert made.client_secret == want.get("clientSecret", "")
    if "algorithm" in want:
        assert made.private_key is not None
        assert (made.private_key.algorithm, made.private_key.key_id) == (want["algorithm"], want["keyId"])
    assert "aidp_sk_1" not in repr(made)


ASSERTIONS = vectors("client-assertion.json")


@pytest.mark.parametrize("case", rows("client-assertion.json"))
async def test_client_assertions(half: Half, case: dict[str, Any]) -> None:
    requests: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return good_token()

    time = half.time()
    time.at = float(ASSERTIONS["now"])
    key = agentidp.PrivateKey.from_pem(KEYS[case["key"]], case["keyId"] or "")
    made = agentidp.Config(url=case["url"], client_id=case["clientId"], private_key=key)
    source = half.source(made, http_client=half.http(answer), clock=time)
    ids = set()
    for _ in range(2):
        await settle(source.token())
        source.forget()
        form = parse_qs(requests[-1].content.decode())
        assert "authorization" not in requests[-1].headers
        assert set(form) == {"grant_type", "client_assertion_type", "client_assertion"}
        assert form["client_assertion_type"] == [ASSERTIONS["assertionType"]]
        decoded = jwt.decode_complete(
            form["client_assertion"][0],
            key.key.public_key(),
            algorithms=[case["header"]["alg"]],
            options={"verify_aud": False, "verify_exp": False, "verify_iat": False},
        )
        assert decoded["header"] == case["header"]
        jti = decoded["payload"].pop("jti")
        assert decoded["payload"] == case["claims"]
        assert 16 <= len(jti) <= 128
        ids.add(jti)
    assert len(ids) == 2


@pytest.mark.parametrize("name", ASSERTIONS["refusedKeys"])
def test_refused_keys(name: str) -> None:
    with pytest.raises(ConfigurationError):
        agentidp.PrivateKey.from_pem(KEYS[name])


@pytest.mark.parametrize("case", rows("jwks.json", "documents"))
def test_key_sets(case: dict[str, Any]) -> None:
    if case["usable"] is None:
        with pytest.raises(InvalidAnswerError):
            parse_jwks(padded(case))
        return
    assert sorted(parse_jwks(padded(case))) == sorted(case["usable"])


@pytest.mark.parametrize("case", vectors("scopes.json")["cases"])
def test_scopes(case: dict[str, Any]) -> None:
    claims = Claims(
        issuer="",
        subject="",
        audience=(),
        client_id="",
        scope=case["scope"],
        issued_at=0,
        expires_at=0,
        not_before=None,
        jti="",
        organization="",
        rev=(0, 0, 0),
        status=None,
        kid="",
    )
    assert claims.has_scope(case["demanded"]) == case["covered"]


TOKENS = vectors("tokens.json")


@pytest.mark.parametrize("case", rows("tokens.json"))
def test_tokens(case: dict[str, Any]) -> None:
    keys = parse_jwks(padded(DOCUMENTS[TOKENS["jwks"]]))
    rules = Rules(
        TOKENS["issuer"], TOKENS["audience"], TOKENS["maxLifetime"], TOKENS["leeway"], lambda: float(TOKENS["now"])
    )
    try:
        document, claims = rules.read(case["token"])
        document.verify(keys.__getitem__)
        rules.check(claims)
    except TokenRefusedError as error:
        assert error.reason == case["expect"]
        return
    assert case["expect"] == "accept"
    want = case["claims"]
    assert {
        "subject": claims.subject,
        "clientId": claims.client_id,
        "organization": claims.organization,
        "audience": list(claims.audience),
        "scope": claims.scope,
        "jti": claims.jti,
        "issuedAt": claims.issued_at,
        "expiresAt": claims.expires_at,
        "kid": claims.kid,
    } == {name: want[name] for name in want if name not in ("notBefore", "status", "rev")}


ROTATIONS = vectors("jwks-rotations.json")


@pytest.mark.parametrize("case", rows("jwks-rotations.json", "scenarios"))
async def test_jwks_rotations(half: Half, case: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"agentidp._{half.name}.keys._REFETCH_WAIT", 60.0)  # the machine may be slow
    state: dict[str, Any] = {"fetch": "", "fetches": 0}

    def answer(request: httpx.Request) -> httpx.Response:
        state["fetches"] += 1  # first: nobody hears of a failure in the background
        assert request.url == f"{ROTATIONS['issuer']}/.well-known/jwks.json"
        fetch = str(state["fetch"])
        if fetch == "away":
            raise httpx.ConnectError("connection refused")
        if fetch.startswith("status "):
            return httpx.Response(int(fetch[7:]), headers={"Location": "https://evil.example.com/"})
        return httpx.Response(200, content=padded(DOCUMENTS[fetch]))

    time = half.time()
    verifier = half.verifier(
        issuer=ROTATIONS["issuer"], audience=ROTATIONS["audience"], http_client=half.http(answer), clock=time
    )
    for number, step in enumerate(case["steps"]):
        time.at = float(ROTATIONS["start"] + step["at"])
        state.update(fetch=step["fetch"], fetches=0)
        outcome = "accept"
        try:
            await settle(verifier.verify(step["token"]))
        except (TokenRefusedError, UnavailableError) as error:
            outcome = error.reason
        await half.landed(verifier._keys._flight)
        assert (outcome, state["fetches"]) == (step["expect"], step["fetches"]), f"step {number}"


STATUS_LISTS = vectors("status-lists.json")


@pytest.mark.parametrize("case", rows("status-lists.json"))
async def test_status_lists(half: Half, case: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"agentidp._{half.name}.keys._REFETCH_WAIT", 60.0)  # the machine may be slow
    monkeypatch.setattr(f"agentidp._{half.name}.statuslists._LONGEST_WAIT", 60.0)

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/.well-known/jwks.json":
            return httpx.Response(200, content=padded(DOCUMENTS[STATUS_LISTS["jwks"]]))
        assert request.url == case["uri"]
        assert str(request.url).startswith(STATUS_LISTS["issuer"])
        if case["status"] == 0:
            raise httpx.ConnectError("connection refused")
        return httpx.Response(case["status"], content=case["body"])

    time = half.time()
    time.at = float(STATUS_LISTS["now"])
    verifier = half.verifier(
        issuer=STATUS_LISTS["issuer"],
        audience=URL,
        revocation="status_list",
        http_client=half.http(answer),
        clock=time,
    )
    outcome = "accept"
    try:
        await settle(verifier._lists.check(Status(case["uri"], case["index"])))
    except (TokenRefusedError, UnavailableError) as error:
        outcome = error.reason
    assert outcome == case["expect"]


def test_every_file_is_run() -> None:
    here = Path(__file__).read_text()
    for file in (Path(__file__).parents[2] / "testdata").glob("*.json"):
        assert f'"{file.name}"' in here
