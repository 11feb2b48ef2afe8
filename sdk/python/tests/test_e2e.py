"""Against the real IdP and sidecar."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

import agentidp
from agentidp.errors import APIError, TokenRefusedError, UnavailableError
from agentidp.models import PolicyInput, PolicyRoute
from conftest import Half, collect, eventually, settle, vectors
from stage import Registered, Stage, idp


class Caller:
    """Calls the notes API through the sidecar."""

    def __init__(self, half: Half, stage: Stage, agent: Registered) -> None:
        self.source = half.source(agent.config(stage.idp, resource=stage.resource))
        self.http = half.http(auth=half.auth(self.source), base_url=stage.sidecar, timeout=60)

    async def status(self) -> int:
        code: int = (await settle(self.http.get("/notes"))).status_code
        return code


async def test_management(half: Half, stage: Stage) -> None:
    client = half.client(stage.admin_config)
    number = datetime.now(timezone.utc).timestamp()
    agent = await settle(
        client.create_agent(
            email=f"managed-{number}@example.com",
            agent_type="custom",
            version="1.0.0",
            owner="o",
            deployment_env="staging",
            metadata={"a": 1},
        )
    )
    assert await settle(client.get_agent(agent.agent_id)) == agent
    with pytest.raises(APIError) as raised:
        await settle(
            client.create_agent(
                email="x", agent_type="x", version="1", owner="", deployment_env="staging", capabilities=["?"]
            )
        )
    assert (raised.value.status, raised.value.code) == (400, "VALIDATION_FAILED")
    assert raised.value.details.fields
    assert raised.value.request_id
    with pytest.raises(APIError, match="NOT_FOUND"):
        await settle(client.get_agent("3f2b8c1e-6f0a-4d0e-9a53-0d8b8a7c1f11"))
    agent = await settle(client.update_agent(agent.agent_id, capabilities=["notes:read"], metadata=None))
    assert (agent.capabilities, agent.metadata) == (("notes:read",), None)
    assert (await settle(client.update_agent(agent.agent_id, capabilities=[]))).capabilities == ()
    assert (await settle(client.suspend_agent(agent.agent_id, "incident 4711"))).status == "suspended"
    assert (await settle(client.reactivate_agent(agent.agent_id))).status == "active"
    assert (await settle(client.agent_usage(agent.agent_id))).tokens_used == 0
    assert (await settle(client.agent_page(search=f"managed-{number}"))).data[0].agent_id == agent.agent_id
    assert agent.agent_id in [a.agent_id for a in await collect(client.agents(owner="o", sort="email"))]

    end = datetime.now(timezone.utc) + timedelta(hours=1)
    credential = await settle(client.create_credential(agent.agent_id, expires_at=end))
    rotated = await settle(client.rotate_credential(agent.agent_id, credential.credential_id, overlap_seconds=60))
    assert rotated.client_secret != credential.client_secret
    token = await settle(half.source(Registered(agent.agent_id, rotated).config(stage.idp)).token())
    state = await settle(client.introspect(token.access_token))
    assert (state.active, state.sub, state.aud) == (True, agent.agent_id, stage.idp)
    await settle(client.revoke_token(token.access_token, "leaked"))
    assert not (await settle(client.introspect(token.access_token))).active
    for call in (client.introspect, client.revoke_token):
        with pytest.raises(ValueError, match="no token"):
            await settle(call(""))
    await settle(client.revoke_credential(agent.agent_id, credential.credential_id, revoke_tokens=True, reason="old"))
    assert [c.status for c in await collect(client.credentials(agent.agent_id))] == ["revoked"]
    await settle(client.decommission_agent(agent.agent_id, "over"))
    for action, reason in {"agent.suspended": "incident 4711", "agent.decommissioned": "over"}.items():
        event = (await settle(client.event_page(action=action, limit=1))).data[0]
        assert event.metadata is not None
        assert event.metadata["reason"] == reason

    name = f"acme-{half.name}"
    created = await settle(
        client.create_organization(organization_id=name, name="Acme", administrator_email="a@b.example")
    )
    assert created.credential.client_secret
    assert (await settle(client.update_organization(name, max_credential_age=86400))).max_credential_age == 86400
    assert (await settle(client.get_organization(name))).name == "Acme"
    assert name in [o.organization_id for o in await collect(client.organizations())]
    assert (await settle(client.organization_usage(name))).agents_used == 1
    preview = await settle(client.preview_revocation("organization", name))
    assert (preview.agents, preview.organization_id) == (1, name)
    entry = await settle(client.revoke("organization", name, "over"))
    feed = await settle(client.revocations())
    assert feed.entries[-1].seq == entry.seq
    assert (await settle(client.revocations(feed.cursor))).entries == ()

    begin = datetime.now(timezone.utc) - timedelta(minutes=10)
    stats = await settle(client.stats(step="1m", from_=begin, organization_id="default"))
    assert len(stats.buckets) >= 10
    assert stats.now.tokens_this_month > 0
    assert (await settle(client.keys())).data[0].status == "active"
    assert (await settle(client.rotate_key())).status == "next"
    assert (await settle(client.policy())).source == "builtIn"
    route = PolicyInput(route=PolicyRoute(id="x", capability="public"))
    assert (await settle(client.evaluate_policy(route))).allow
    assert [s.connected for s in await collect(client.sidecars())] == [True]


async def test_what_is_public(half: Half, stage: Stage) -> None:
    client = half.client(agentidp.Config(url=stage.idp))
    assert client.url == stage.idp
    began = datetime.now(timezone.utc)

    async def healthy() -> bool:
        said: str = (await settle(client.health())).status
        return said == "ok"

    await eventually(healthy, "it is not degraded: the first status lists are made")
    logging.getLogger("e2e").info("health was ok after %s", datetime.now(timezone.utc) - began)
    assert (await settle(client.jwks())).keys[0].alg == "RS256"
    assert (await settle(client.metadata())).issuer == stage.idp
    assert (await settle(client.openid_configuration())).subject_types_supported == ("public",)
    with pytest.raises(agentidp.ConfigurationError):
        await settle(client.keys())
    with pytest.raises(agentidp.ConfigurationError):
        _ = client.tokens


async def test_the_audit_log(half: Half, stage: Stage) -> None:
    source = half.source(stage.admin_config)
    for _ in range(101):
        source.forget()
        await settle(source.token())
    client = half.client(stage.admin_config)
    listed = await collect(client.events(action="token.issued", outcome="success"))
    assert len(listed) > 100, "more than a page"
    assert len({event.sequence for event in listed}) == len(listed)

    async def tailed() -> list[Any]:
        found: list[Any] = []
        tail = client.tail(last=3, every=0.01, action="token.issued")
        if half.name == "sync":
            for event in tail:
                found.append(event)
                if len(found) == 3:
                    source.forget()
                    source.token()
                if len(found) == 4:
                    break
            return found
        async for event in tail:
            found.append(event)
            if len(found) == 3:
                source.forget()
                await source.token()
            if len(found) == 4:
                break
        await tail.aclose()
        return found

    sequences = [event.sequence for event in await tailed()]
    assert sequences == sorted(set(sequences))
    assert len(sequences) == 4

    event, leaf = await settle(client.get_event(listed[-1].event_id))
    assert event == listed[-1]
    proof = await settle(client.inclusion_proof(event.sequence))
    assert proof.leaf_hash == base64.b64encode(hashlib.sha256(b"\0" + leaf).digest()).decode()
    assert (await settle(client.consistency_proof(1, proof.tree_size))).second_root == proof.root_hash
    assert "/audit\n" in await settle(client.checkpoint())
    exported = b"".join(await collect(client.export("ndjson")))
    assert exported.startswith(b'{"export":')
    with pytest.raises(APIError, match="VALIDATION_FAILED"):
        await collect(client.export("pdf"))


async def test_suspension(half: Half, stage: Stage) -> None:
    agent = stage.register()
    caller = Caller(half, stage, agent)
    verifier = half.verifier(issuer=stage.idp, audience=stage.resource)
    token = (await settle(caller.source.token())).access_token
    assert await caller.status() == 200
    assert (await settle(verifier.verify(token))).subject == agent.agent_id
    stage.admin.suspend_agent(agent.agent_id, "incident")

    async def refused() -> bool:
        try:
            return await caller.status() == 401
        except APIError as error:  # the sidecar knew, the token was forgotten, and there is no other one
            return error.code == "unauthorized_client"

    await eventually(refused, "the sidecar refuses the agent")
    await settle(verifier.verify(token))  # it asks nobody
    introspecting = half.verifier(issuer=stage.idp, audience=stage.resource, revocation=half.client(stage.admin_config))
    listing = half.verifier(issuer=stage.idp, audience=stage.resource, revocation="status_list")
    for checking in (introspecting, listing):

        async def revoked(verifier: Any = checking) -> bool:
            try:
                await settle(verifier.verify(token))
            except (TokenRefusedError, UnavailableError) as error:  # it has little time, and the machine may be slow
                return error.reason == "token_revoked"
            return False

        await eventually(revoked, "the verifier knows")
    stage.admin.reactivate_agent(agent.agent_id)

    async def works() -> bool:
        return await caller.status() == 200

    await eventually(works, "a new token is good")


async def test_rotation_without_a_failed_call(half: Half, stage: Stage) -> None:
    agent = stage.register()
    caller = Caller(half, stage, agent)
    client = half.client(agent.config(stage.idp))
    done = Event()
    calls: list[int] = []

    async def keep_calling() -> None:
        while not done.is_set() or len(calls) < 5:
            caller.source.forget()
            calls.append(await caller.status())
            await asyncio.sleep(0)

    def keep_calling_in_a_thread() -> None:
        while not done.is_set() or len(calls) < 5:
            caller.source.forget()
            calls.append(caller.http.get("/notes").status_code)

    stored: list[Any] = []
    with ThreadPoolExecutor(1) as pool:
        under_way: Any = (
            asyncio.create_task(keep_calling()) if half.name == "async" else pool.submit(keep_calling_in_a_thread)
        )
        rotated = await settle(half.rotate(client, half.callback(stored.append), caller.source))
        done.set()
        await (under_way if half.name == "async" else asyncio.wrap_future(under_way))
    assert rotated.store_error is None
    assert stored == [rotated.credential]
    assert set(calls) == {200}
    assert caller.source.config.client_secret == rotated.credential.client_secret != agent.credential.client_secret

    def full(_: Any) -> None:
        raise OSError("no space")

    again = await settle(half.rotate(client, half.callback(full)))
    assert isinstance(again.store_error, OSError)
    assert client.tokens.config.client_secret == again.credential.client_secret
    other = half.source(stage.admin_config)
    with pytest.raises(agentidp.ConfigurationError, match="another credential"):
        await settle(half.rotate(client, half.callback(full), other))


async def test_a_rotation_whose_answer_is_lost(half: Half, stage: Stage) -> None:
    agent = stage.register()
    cut: list[int] = []

    def lose(response: Any) -> None:
        if response.request.url.path.endswith("/rotate") and not cut:
            cut.append(response.status_code)
            raise httpx.ReadError("the connection broke")

    http = half.http(event_hooks={"response": [half.callback(lose)]}, timeout=60)
    client = half.client(agent.config(stage.idp), http_client=http)
    with pytest.raises(agentidp.SecretLostError) as raised:
        await settle(half.rotate(client, half.callback(print)))
    assert (cut, raised.value.credential_id) == ([200], agent.credential.credential_id)
    assert (await settle(half.source(agent.config(stage.idp)).token())).access_token, "the old secret is good"


async def test_the_idp_restarts(half: Half, stage: Stage) -> None:
    caller = Caller(half, stage, stage.register())
    verifier = half.verifier(issuer=stage.idp, audience=stage.resource)
    token = (await settle(caller.source.token())).access_token
    await settle(verifier.verify(token))
    assert await caller.status() == 200
    stage.tell("stop-idp")
    try:
        assert await caller.status() == 200, "the kept token is good"
        assert (await settle(verifier.verify(token))).scope == "notes:read", "so are the kept keys"
        with pytest.raises(UnavailableError, match="keys_stale"):
            await settle(half.verifier(issuer=stage.idp, audience=stage.resource).verify(token))
        caller.source.forget()
        with pytest.raises(agentidp.TransportError):
            await settle(caller.source.token())
        with pytest.raises(agentidp.TransportError):
            await settle(half.client(agentidp.Config(url=stage.idp)).health())
    finally:
        stage.tell("start-idp")
    assert await caller.status() == 200, "and there is another one"


@pytest.fixture(scope="module")
def lone_idp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with idp(tmp_path_factory.mktemp("idp"), AGENTIDP_LIMITS_REQUESTS_PER_MINUTE="0") as made:
        yield made


async def test_a_key_is_revoked(half: Half, lone_idp: Any) -> None:
    """The verifier meets a kid that it does not know, after its cool-down."""
    time = half.time()
    time.at = datetime.now(timezone.utc).timestamp()
    source = half.source(lone_idp.admin_config)
    verifier = half.verifier(issuer=lone_idp.url, audience=lone_idp.url, clock=time)
    before = await settle(verifier.verify((await settle(source.token())).access_token))
    client = half.client(lone_idp.admin_config)
    await settle(client.rotate_key(emergency=True, reason="drill"))
    assert (await settle(client.keys())).data, "the client replaced its token, which died with the key"
    source.forget()
    token = (await settle(source.token())).access_token
    time.at = datetime.now(timezone.utc).timestamp() + 10
    after = await settle(verifier.verify(token))
    assert after.kid != before.kid


async def test_private_key_jwt(half: Half, lone_idp: Any) -> None:

    key = agentidp.PrivateKey.from_pem(vectors("keys.json")["privateKeys"]["client-ec"])
    assert isinstance(key.key, EllipticCurvePrivateKey)
    jwk = jwt.algorithms.ECAlgorithm.to_jwk(key.key.public_key(), as_dict=True)
    with agentidp.Client(lone_idp.admin_config) as admin:
        agent = admin.create_agent(
            email=f"key-{half.name}@example.com",
            agent_type="custom",
            version="1.0.0",
            owner="o",
            deployment_env="staging",
            capabilities=["notes:read"],
            jwks={"keys": [jwk]},
        )
        credential = admin.create_credential(agent.agent_id, auth_method="private_key_jwt")
    assert credential.client_secret is None
    config = agentidp.Config(url=lone_idp.url, client_id=credential.client_id, private_key=key)
    assert (await settle(half.source(config).token())).scope == "notes:read"
    client = half.client(config)
    with pytest.raises(agentidp.ConfigurationError, match="private_key_jwt"):
        await settle(half.rotate(client, half.callback(print)))


async def test_429(half: Half, tmp_path: Path) -> None:
    with idp(tmp_path, AGENTIDP_LIMITS_REQUESTS_PER_MINUTE="5") as limited:
        source = half.source(limited.admin_config, clock=half.time())
        error = await refused_at_last(source)
    assert (error.status, error.code, error.temporary) == (429, "rate_limited", True)
    assert error.retry_after > 0


async def refused_at_last(source: Any) -> APIError:
    for _ in range(50):
        source.forget()
        try:
            await settle(source.token())
        except APIError as error:
            return error
    raise AssertionError("50 tokens in a minute")
