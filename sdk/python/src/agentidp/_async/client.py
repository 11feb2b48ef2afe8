"""The management API."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from types import TracebackType
from typing import Any, Literal, TypeVar

import httpx

from .._call import LONGEST, PAGE_SIZE, Call, agent_path, credential_path, delete, get, parameters, post, segment
from .._config import Config
from .._decode import UNSET, decode, encode, members
from .._snapshot import parse_news, parse_snapshot
from ..errors import AgentIdPError, APIError, InvalidAnswerError, SecretLostError
from ..models import (
    JWKS,
    Agent,
    AgentList,
    AgentSort,
    AgentStatus,
    AgentType,
    AuditEvent,
    AuditList,
    AuthMethod,
    ConsistencyProof,
    CreatedOrganization,
    Credential,
    CredentialWithSecret,
    DeploymentEnv,
    ExportFormat,
    Health,
    InclusionProof,
    Introspection,
    JSONObject,
    Key,
    KeyList,
    Metadata,
    Organization,
    OrganizationUsage,
    Outcome,
    Page,
    Plan,
    Policy,
    PolicyDecision,
    PolicyInput,
    RevocationEntry,
    RevocationPage,
    RevocationPreview,
    RevocationType,
    Sidecar,
    Stats,
    StatsStep,
    Usage,
)
from .caller import AsyncCaller
from .platform import AsyncClock
from .source import AsyncTokenSource

T = TypeVar("T")
_TAIL_BOUND = 10_000  # events that one look may bring; more memory it does not take
_LONGEST_WAIT = 25  # seconds of a long poll, within the time limit of a call


class AsyncClient:
    """Calls the management API: every method is one operation. Refusals are an `APIError`; where there is no answer it
    is a `TransportError`.

    Without a client id it can call what is public. Resources of the configuration are for other APIs and left out; its
    scope bounds what the client may do. Close it, or use it as a context manager; an `http_client` that is passed in
    stays open.
    """

    def __init__(
        self, config: Config, *, http_client: httpx.AsyncClient | None = None, clock: AsyncClock | None = None
    ) -> None:
        self._clock = clock or AsyncClock()
        self._caller = AsyncCaller(config, http_client, clock)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._caller.aclose()

    @property
    def url(self) -> str:
        """Of the IdP, without a slash at its end."""
        return self._caller.url

    @property
    def tokens(self) -> AsyncTokenSource:
        """The source of the tokens that calls carry. ConfigurationError without a client id."""
        return self._caller.source()

    # Agents

    def agents(
        self,
        *,
        search: str = "",
        sort: AgentSort | None = None,
        status: AgentStatus | None = None,
        owner: str = "",
        agent_type: AgentType | None = None,
        deployment_env: DeploymentEnv | None = None,
        capability: str = "",
        organization_id: str = "",
    ) -> AsyncIterator[Agent]:
        """Lists agents, newest first or as sorted, page by page as they are consumed. What comes and goes meanwhile
        moves nothing else. Decommissioned ones appear only when `status` asks for them. `search`: email, id or owner
        begins so; `organization_id`: another one, for the operator."""
        query = parameters(
            q=search,
            sort=sort,
            status=status,
            owner=owner,
            agentType=agent_type,
            deploymentEnv=deployment_env,
            capability=capability,
            organizationId=organization_id,
        )

        async def page(cursor: str) -> tuple[tuple[Agent, ...], str | None]:
            listed = await self._agent_page(query, cursor, PAGE_SIZE)
            return listed.data, listed.next_cursor

        return _by_cursor(page)

    async def agent_page(
        self,
        *,
        cursor: str = "",
        limit: int = 20,
        search: str = "",
        sort: AgentSort | None = None,
        status: AgentStatus | None = None,
        owner: str = "",
        agent_type: AgentType | None = None,
        deployment_env: DeploymentEnv | None = None,
        capability: str = "",
        organization_id: str = "",
    ) -> AgentList:
        """One page of that list: after the `next_cursor` of the page before, of at most limit agents (1 to 100)."""
        query = parameters(
            q=search,
            sort=sort,
            status=status,
            owner=owner,
            agentType=agent_type,
            deploymentEnv=deployment_env,
            capability=capability,
            organizationId=organization_id,
        )
        return await self._agent_page(query, cursor, limit)

    async def _agent_page(self, query: dict[str, str], cursor: str, limit: int) -> AgentList:
        return await self._caller.model(AgentList, get("/api/v1/agents", **query, cursor=cursor, limit=limit))

    async def create_agent(
        self,
        *,
        email: str,
        agent_type: AgentType,
        version: str,
        owner: str,
        deployment_env: DeploymentEnv,
        capabilities: Sequence[str] = (),
        organization_id: str = UNSET,
        metadata: JSONObject = UNSET,
        jwks: JSONObject = UNSET,
        jwks_uri: str = UNSET,
    ) -> Agent:
        """Registers an agent, in the caller's organization unless another one is named."""
        body = members(
            email=email,
            agent_type=agent_type,
            version=version,
            owner=owner,
            deployment_env=deployment_env,
            capabilities=list(capabilities),
            organization_id=organization_id,
            metadata=metadata,
            jwks=jwks,
            jwks_uri=jwks_uri,
        )
        return await self._caller.model(Agent, post("/api/v1/agents", body))

    async def get_agent(self, agent_id: str) -> Agent:
        """Gets one agent."""
        return await self._caller.model(Agent, get(agent_path(agent_id)))

    async def update_agent(
        self,
        agent_id: str,
        *,
        email: str = UNSET,
        agent_type: AgentType = UNSET,
        version: str = UNSET,
        capabilities: Sequence[str] = UNSET,
        owner: str = UNSET,
        deployment_env: DeploymentEnv = UNSET,
        status: Literal["active", "suspended"] = UNSET,
        metadata: JSONObject | None = UNSET,
        jwks: JSONObject | None = UNSET,
        jwks_uri: str | None = UNSET,
        reason: str = UNSET,
    ) -> Agent:
        """Changes the members that are given. None clears metadata and keys. `reason` goes with `status`."""
        body = members(
            email=email,
            agent_type=agent_type,
            version=version,
            capabilities=capabilities,
            owner=owner,
            deployment_env=deployment_env,
            status=status,
            metadata=metadata,
            jwks=jwks,
            jwks_uri=jwks_uri,
            reason=reason or UNSET,
        )
        return await self._caller.model(Agent, Call("PATCH", agent_path(agent_id), json=body))

    async def suspend_agent(self, agent_id: str, reason: str = "") -> Agent:
        """Kills the agent's live tokens; it gets no others until it is reactivated. The reason stands in the audit
        log."""
        return await self.update_agent(agent_id, status="suspended", reason=reason)

    async def reactivate_agent(self, agent_id: str, reason: str = "") -> Agent:
        """Lets a suspended agent get tokens again."""
        return await self.update_agent(agent_id, status="active", reason=reason)

    async def decommission_agent(self, agent_id: str, reason: str = "") -> None:
        """Final: live tokens and credentials die, the record stays."""
        await self._caller.body(delete(agent_path(agent_id), reason=reason))

    async def agent_usage(self, agent_id: str) -> Usage:
        """What the agent used of its quota."""
        return await self._caller.model(Usage, get(f"{agent_path(agent_id)}/usage"))

    # Credentials

    def credentials(self, agent_id: str) -> AsyncIterator[Credential]:
        """Lists an agent's credentials, revoked ones too."""

        async def page(number: int) -> Page[Credential]:
            return await self.credential_page(agent_id, page=number, limit=PAGE_SIZE)

        return _by_number(page)

    async def credential_page(self, agent_id: str, *, page: int = 1, limit: int = 20) -> Page[Credential]:
        """One page of that list."""
        call = get(f"{agent_path(agent_id)}/credentials", page=page, limit=limit)
        return await self._caller.model(Page[Credential], call)

    async def create_credential(
        self, agent_id: str, *, auth_method: AuthMethod = UNSET, expires_at: datetime = UNSET
    ) -> CredentialWithSecret:
        """Makes a credential, of a secret unless it says otherwise. A call whose answer was lost made one that nobody
        knows the secret of: it is in the list, to be revoked."""
        body = members(auth_method=auth_method, expires_at=expires_at)
        return await self._caller.model(CredentialWithSecret, post(f"{agent_path(agent_id)}/credentials", body))

    async def rotate_credential(
        self, agent_id: str, credential_id: str, *, overlap_seconds: float = 0, revoke_tokens: bool = False
    ) -> CredentialWithSecret:
        """Replaces the secret; the client id stays. The old one is good for the overlap, up to 604800 seconds; part of
        a second is a whole one. `revoke_tokens` kills the tokens issued to the credential too. SecretLostError when the
        answer was lost, and the new secret with it."""
        overlap = math.ceil(overlap_seconds)  # half a second must not be none
        body = {"overlapSeconds": overlap} if overlap else {}
        call = post(f"{credential_path(agent_id, credential_id)}/rotate", body, revokeTokens=revoke_tokens)
        began = datetime.fromtimestamp(self._clock.now().wall, timezone.utc)
        try:
            return await self._caller.model(CredentialWithSecret, call)
        except APIError as error:
            if (error.status, error.code) != (409, "INVALID_STATE") or not error.details.credential_id:
                raise  # only a repeat of what made a secret names the credential
            until = began + timedelta(seconds=overlap)  # the IdP began to count later than that
            raise SecretLostError(error.details.credential_id, until) from error

    async def revoke_credential(
        self, agent_id: str, credential_id: str, *, revoke_tokens: bool = False, reason: str = ""
    ) -> None:
        """Final. Its tokens live on unless `revoke_tokens`."""
        call = delete(credential_path(agent_id, credential_id), revokeTokens=revoke_tokens, reason=reason)
        await self._caller.body(call)

    # Organizations

    def organizations(self) -> AsyncIterator[Organization]:
        """Lists organizations, newest first."""

        async def page(number: int) -> Page[Organization]:
            call = get("/api/v1/organizations", page=number, limit=PAGE_SIZE)
            return await self._caller.model(Page[Organization], call)

        return _by_number(page)

    async def create_organization(
        self,
        *,
        organization_id: str,
        name: str,
        plan: Plan = UNSET,
        max_credential_age: int = UNSET,
        administrator_email: str = UNSET,
    ) -> CreatedOrganization:
        """Makes an organization and its administrator."""
        body = members(
            organization_id=organization_id,
            name=name,
            plan=plan,
            max_credential_age=max_credential_age,
            administrator_email=administrator_email,
        )
        return await self._caller.model(CreatedOrganization, post("/api/v1/organizations", body))

    async def get_organization(self, organization_id: str) -> Organization:
        """Gets one organization."""
        return await self._caller.model(Organization, get(f"/api/v1/organizations/{segment(organization_id)}"))

    async def update_organization(
        self, organization_id: str, *, name: str = UNSET, plan: Plan = UNSET, max_credential_age: int = UNSET
    ) -> Organization:
        """Changes the members that are given."""
        body = members(name=name, plan=plan, max_credential_age=max_credential_age)
        call = Call("PATCH", f"/api/v1/organizations/{segment(organization_id)}", json=body)
        return await self._caller.model(Organization, call)

    async def organization_usage(self, organization_id: str) -> OrganizationUsage:
        """What the organization used of its plan."""
        call = get(f"/api/v1/organizations/{segment(organization_id)}/usage")
        return await self._caller.model(OrganizationUsage, call)

    # Tokens

    async def introspect(self, token: str, *, timeout: float = LONGEST) -> Introspection:
        """Says whether a token is live: one of the client's own, or with tokens:introspect one of its organization. Of
        others it says that they are not. `timeout`: seconds for all attempts."""
        form = {"token": _given(token)}
        call = Call("POST", "/api/v1/token/introspect", form=form, repeatable=True, within=timeout)
        return await self._caller.model(Introspection, call)

    async def revoke_token(self, token: str, reason: str = "") -> None:
        """Kills a token: one of the client's own, or with tokens:revoke one of its organization. An unknown one is no
        error. The reason stands in the audit log."""
        form = parameters(token=_given(token), reason=reason)
        await self._caller.body(Call("POST", "/api/v1/token/revoke", form=form, repeatable=True))

    # Audit

    def events(
        self,
        *,
        search: str = "",
        agent_id: str = "",
        target_agent_id: str = "",
        action: str = "",
        outcome: Outcome | None = None,
        from_: datetime | None = None,
        to: datetime | None = None,
    ) -> AsyncIterator[AuditEvent]:
        """Lists the audit log, newest first, page by page as it is consumed. `agent_id`: what it did;
        `target_agent_id`: what others did to it; `search`: text in any value, in the newest 5,000 that the rest
        leaves."""
        query = parameters(
            q=search,
            agentId=agent_id,
            targetAgentId=target_agent_id,
            action=action,
            outcome=outcome,
            from_=from_,
            to=to,
        )

        async def page(cursor: str) -> tuple[tuple[AuditEvent, ...], str | None]:
            listed = await self._event_page(query, cursor, PAGE_SIZE)
            return listed.data, listed.next_cursor

        return _by_cursor(page)

    async def event_page(
        self,
        *,
        cursor: str = "",
        limit: int = 20,
        search: str = "",
        agent_id: str = "",
        target_agent_id: str = "",
        action: str = "",
        outcome: Outcome | None = None,
        from_: datetime | None = None,
        to: datetime | None = None,
    ) -> AuditList:
        """One page of that list: after the `next_cursor` of the page before, of at most limit events (1 to 100)."""
        query = parameters(
            q=search,
            agentId=agent_id,
            targetAgentId=target_agent_id,
            action=action,
            outcome=outcome,
            from_=from_,
            to=to,
        )
        return await self._event_page(query, cursor, limit)

    async def _event_page(self, query: dict[str, str], cursor: str, limit: int) -> AuditList:
        call = replace(get("/api/v1/audit"), query=query | parameters(cursor=cursor, limit=limit))
        return await self._caller.model(AuditList, call)

    async def tail(
        self,
        *,
        last: int = 10,
        every: float = 2.0,
        search: str = "",
        agent_id: str = "",
        target_agent_id: str = "",
        action: str = "",
        outcome: Outcome | None = None,
    ) -> AsyncIterator[AuditEvent]:
        """Follows the log without an end: the last events that are there, oldest first, then new ones as they come,
        looked for every so many seconds. More than 10,000 new events between two looks are an error."""
        after, first = -1, True
        while True:
            found: list[AuditEvent] = []
            async for event in self.events(
                search=search, agent_id=agent_id, target_agent_id=target_agent_id, action=action, outcome=outcome
            ):
                if event.sequence <= after or (first and len(found) >= max(last, 1)):
                    break
                if len(found) == _TAIL_BOUND:
                    raise AgentIdPError("more than 10000 new events: follow the log with a filter, or export it")
                found.append(event)
            found.reverse()
            if found:
                after = found[-1].sequence
            for event in found[max(len(found) - last, 0) :] if first else found:
                yield event
            first = False
            await self._clock.sleep(every)

    async def get_event(self, event_id: str) -> tuple[AuditEvent, bytes]:
        """Gets one event, and its leaf: the bytes that the tree hashes."""
        leaf = await self._caller.body(get(f"/api/v1/audit/{segment(event_id)}"))
        try:
            return decode(AuditEvent, json.loads(leaf)), leaf
        except ValueError as error:
            raise InvalidAnswerError("the event is no JSON") from error

    async def inclusion_proof(self, leaf_index: int, tree_size: int | None = None) -> InclusionProof:
        """Proves the event at a place, in the tree of the latest checkpoint that holds it or of that size."""
        call = get("/api/v1/audit/proof/inclusion", leafIndex=leaf_index, treeSize=tree_size)
        return await self._caller.model(InclusionProof, call)

    async def consistency_proof(self, first: int, second: int) -> ConsistencyProof:
        """Proves that the log of second events extends the one of first."""
        call = get("/api/v1/audit/proof/consistency", first=first, second=second)
        return await self._caller.model(ConsistencyProof, call)

    async def checkpoint(self) -> str:
        """The latest signed checkpoint, a C2SP note. Keep it elsewhere."""
        call = replace(get("/api/v1/audit/checkpoint"), accept="text/plain")
        return (await self._caller.body(call)).decode()

    async def export(
        self,
        format: ExportFormat,
        *,
        from_: datetime | None = None,
        to: datetime | None = None,
    ) -> AsyncIterator[bytes]:
        """Streams the log, oldest first, up to the latest checkpoint: all of it, or `from_` and later, before `to`. A
        TransportError says that it is incomplete; it may be as long as the log, and fails when a minute brings
        nothing."""
        call = replace(get("/api/v1/audit/export", format=format, from_=from_, to=to), accept="*/*")
        async with self._caller.stream(call) as response:
            async for chunk in response.aiter_bytes():
                yield chunk

    # Revocations

    async def revoke(self, type: RevocationType, id: str, reason: str = "") -> RevocationEntry:
        """Cuts off an agent, credential, organization, key or token. Nothing is suspended: new tokens can be issued.
        `id`: agentId, credentialId or clientId, organizationId, kid or jti."""
        body = members(type=type, id=id, reason=reason or UNSET)
        return await self._caller.model(RevocationEntry, post("/api/v1/revocations", body))

    async def preview_revocation(self, type: RevocationType, id: str) -> RevocationPreview:
        """Counts what a revocation of an agent, credential, organization or key would cut off. It changes nothing."""
        return await self._caller.model(RevocationPreview, get("/api/v1/revocations/preview", type=type, id=id))

    async def revocations(self, after: str = "", wait: int = 0) -> RevocationPage:
        """What is new behind the cursor, as soon as there is something or after `wait` seconds (at most 25). Without a
        cursor, or with one of another feed, it is every live entry, whose signature is verified."""
        call = get("/api/v1/revocations", after=after, wait=min(wait, _LONGEST_WAIT) or None)
        body = await self._caller.body(replace(call, accept="*/*"))
        page = parse_news(body)
        if page is None:
            page = parse_snapshot(body, await self._jwks(), self.url)
        return page

    # Keys and metadata

    async def keys(self) -> KeyList:
        """Lists the signing keys."""
        return await self._caller.model(KeyList, get("/api/v1/keys"))

    async def rotate_key(self, *, emergency: bool = False, reason: str = "") -> Key:
        """Gives the key that is to sign or, in an emergency, signs from now on: then the one that signed is revoked
        with all its tokens."""
        body = members(emergency=emergency or UNSET, reason=reason or UNSET)
        return await self._caller.model(Key, post("/api/v1/keys/rotate", body))

    async def jwks(self) -> JWKS:
        """Gets the keys that verify tokens. Public."""
        return decode(JWKS, json.loads(await self._jwks()))

    async def _jwks(self) -> bytes:
        return await self._caller.body(replace(get("/.well-known/jwks.json"), public=True))

    async def metadata(self) -> Metadata:
        """Gets /.well-known/oauth-authorization-server. Public."""
        call = replace(get("/.well-known/oauth-authorization-server"), public=True)
        return await self._caller.model(Metadata, call)

    async def openid_configuration(self) -> Metadata:
        """Gets the same where OpenID clients look for it. Public."""
        call = replace(get("/.well-known/openid-configuration"), public=True)
        return await self._caller.model(Metadata, call)

    async def health(self) -> Health:
        """Gets the IdP's own judgement. That it cannot work is no error here. Public."""
        return await self._caller.model(Health, replace(get("/health"), public=True, takes=503))

    # Policies, sidecars, counts

    async def policy(self) -> Policy:
        """Gets the policy in force."""
        return await self._caller.model(Policy, get("/api/v1/policies"))

    async def evaluate_policy(self, input: PolicyInput) -> PolicyDecision:
        """What the policy in force would decide. It changes nothing."""
        call = Call("POST", "/api/v1/policies/evaluate", json=encode(input), repeatable=True)
        return await self._caller.model(PolicyDecision, call)

    def sidecars(self, organization_id: str = "") -> AsyncIterator[Sidecar]:
        """Lists sidecars, most recently seen first, of another organization than the caller's if the operator names
        one."""

        async def page(number: int) -> Page[Sidecar]:
            call = get("/api/v1/sidecars", page=number, limit=PAGE_SIZE, organizationId=organization_id)
            return await self._caller.model(Page[Sidecar], call)

        return _by_number(page)

    async def stats(
        self,
        *,
        step: StatsStep | None = None,
        from_: datetime | None = None,
        to: datetime | None = None,
        organization_id: str = "",
    ) -> Stats:
        """Counts what happened, by the hour unless `step` says otherwise. At most 1,500 buckets."""
        call = get("/api/v1/stats", step=step, from_=from_, to=to, organizationId=organization_id)
        return await self._caller.model(Stats, call)


def _given(token: str) -> str:
    if not token:
        raise ValueError("no token was given")
    return token


async def _by_cursor(page: Callable[[str], Awaitable[tuple[Sequence[T], str | None]]]) -> AsyncIterator[T]:
    """Walks a list by the cursor that each page gives for the next."""
    cursor: Any = ""
    while cursor is not None:
        entries, cursor = await page(cursor)
        for entry in entries:
            yield entry


async def _by_number(page: Callable[[int], Awaitable[Page[T]]]) -> AsyncIterator[T]:
    """Walks a list by number. What is added or removed meanwhile may appear twice or not at all."""
    number, seen, more = 1, 0, True
    while more:
        listed = await page(number)
        for entry in listed.data:
            yield entry
        number, seen = number + 1, seen + len(listed.data)
        more = len(listed.data) == PAGE_SIZE and seen < listed.total
