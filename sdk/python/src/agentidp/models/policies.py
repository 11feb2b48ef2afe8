"""The policy, and what it sees and decides."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from .lists import JSONObject

PolicySource = Literal["builtIn", "folder"]
RPCProtocol = Literal["mcp", "a2a"]


@dataclass(frozen=True, kw_only=True)
class PolicyFile:
    """One file of a policy."""

    name: str
    sha256: str
    """Hex."""
    text: str


@dataclass(frozen=True, kw_only=True)
class PolicyError:
    """Why the latest reload failed."""

    message: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Policy:
    """The policy in force, whole."""

    revision: str
    epoch: int
    loaded_at: datetime
    source: PolicySource
    tests: int
    """Of the policy's own; all passed."""
    files: tuple[PolicyFile, ...]
    data: JSONObject
    reload_failures: int
    """Reloads that kept the old one."""
    last_error: PolicyError | None = None


@dataclass(frozen=True, kw_only=True)
class PolicyAgent:
    """The caller."""

    id: str | None = None
    organization_id: str | None = None
    client_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class PolicyToken:
    """Its token."""

    jti: str | None = None
    aud: tuple[str, ...] | None = None
    scope: tuple[str, ...] | None = None
    exp: int | None = None
    """Unix seconds."""


@dataclass(frozen=True, kw_only=True)
class PolicyRequest:
    """What it asks for."""

    method: str | None = None
    host: str | None = None
    path: str | None = None
    """Without the query."""
    peer: str | None = None


@dataclass(frozen=True, kw_only=True)
class PolicyRoute:
    """The route that takes it."""

    id: str
    capability: str
    """What it demands; `public`: nothing."""


@dataclass(frozen=True, kw_only=True)
class PolicyRPC:
    """The JSON-RPC message in the body."""

    protocol: RPCProtocol
    method: str
    name: str | None = None
    """Of the tool or prompt."""


@dataclass(frozen=True, kw_only=True)
class PolicyInput:
    """What a policy sees as input."""

    agent: PolicyAgent | None = None
    token: PolicyToken | None = None
    request: PolicyRequest | None = None
    route: PolicyRoute
    rpc: PolicyRPC | None = None


@dataclass(frozen=True, kw_only=True)
class PolicyDecision:
    """What the policy decides."""

    allow: bool
    reason: str
    obligations: JSONObject | None = None
    revision: str
    duration_ms: float
    error: str | None = None
    """Why it could not decide."""
