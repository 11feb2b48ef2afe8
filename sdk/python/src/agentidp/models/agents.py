"""Agents, organizations and lists of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from .credentials import CredentialWithSecret
from .lists import JSONObject

AgentType = Literal[
    "screener",
    "classifier",
    "orchestrator",
    "extractor",
    "summarizer",
    "router",
    "monitor",
    "custom",
    "administrator",
    "sidecar",
]
"""A label for people; authority comes from capabilities alone."""
DeploymentEnv = Literal["development", "staging", "production"]
AgentStatus = Literal["active", "suspended", "decommissioned"]
"""Decommissioned is final."""
AgentSort = Literal["-createdAt", "createdAt", "email", "-email"]
Plan = Literal["free", "custom"]


@dataclass(frozen=True, kw_only=True)
class Agent:
    """A registered identity."""

    agent_id: str
    organization_id: str
    email: str
    agent_type: AgentType
    version: str
    capabilities: tuple[str, ...]
    owner: str
    deployment_env: DeploymentEnv
    status: AgentStatus
    metadata: JSONObject | None = None
    jwks: JSONObject | None = None
    """Of `private_key_jwt`, a JWK Set."""
    jwks_uri: str | None = None
    created_at: datetime
    updated_at: datetime
    last_auth_at: datetime | None = None
    """None before the first token."""


@dataclass(frozen=True, kw_only=True)
class AgentList:
    """One page of agents."""

    data: tuple[Agent, ...]
    total: int
    """Entries on all pages."""
    page: int
    """1 with a cursor."""
    limit: int
    next_cursor: str | None = None
    """None on the last page."""
    incomplete: bool | None = None
    """More agents match the search than are looked at."""


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What an agent used of its quota in the current UTC calendar month."""

    agent_id: str
    month: str
    """`2026-07`."""
    tokens_used: int
    tokens_limit: int
    """0: no limit."""
    resets_at: datetime


@dataclass(frozen=True, kw_only=True)
class CreatedOrganization:
    """A new organization, and its administrator with the secret that is never shown again."""

    organization: Organization
    administrator: Agent
    credential: CredentialWithSecret


@dataclass(frozen=True, kw_only=True)
class Organization:
    """A tenant."""

    organization_id: str
    name: str
    plan: Plan
    max_credential_age: int
    """Seconds that a secret is good; 0: no limit."""
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, kw_only=True)
class AgentTokens:
    """How many tokens an agent was issued."""

    agent_id: str
    email: str
    status: AgentStatus
    tokens_used: int
    """In the month."""


@dataclass(frozen=True, kw_only=True)
class OrganizationUsage:
    """What an organization used of its plan."""

    organization_id: str
    month: str
    """`2026-07`, UTC."""
    agents_used: int
    """Not decommissioned."""
    agents_limit: int
    """0: no limit."""
    tokens_used: int
    """Of all its agents in the month."""
    tokens_limit_per_agent: int
    resets_at: datetime
    most_tokens: tuple[AgentTokens, ...] = ()
    """The agents that were issued the most, most first; empty of an older IdP."""
