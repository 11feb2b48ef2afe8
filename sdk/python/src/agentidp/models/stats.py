"""How often what happened, and what there is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from .audit import Outcome

StatsStep = Literal["1m", "1h", "1d"]


@dataclass(frozen=True, kw_only=True)
class StatsCount:
    """How often an action ended so."""

    action: str
    outcome: Outcome
    count: int


@dataclass(frozen=True, kw_only=True)
class StatsBucket:
    """What happened in one step."""

    at: datetime
    """When it begins."""
    counts: tuple[StatsCount, ...]


@dataclass(frozen=True, kw_only=True)
class CapabilityDenied:
    """How often a capability was missing."""

    capability: str
    count: int


@dataclass(frozen=True, kw_only=True)
class AgentDenied:
    """How often an agent was denied."""

    agent_id: str
    count: int


@dataclass(frozen=True, kw_only=True)
class StatsTopDenied:
    """What the newest denials of sidecars were about, at most ten of each, highest counts first."""

    since: datetime
    """How far back was looked."""
    complete: bool
    """All denials of the window were looked at."""
    denials: int
    """That were looked at."""
    capabilities: tuple[CapabilityDenied, ...]
    agents: tuple[AgentDenied, ...]


@dataclass(frozen=True, kw_only=True)
class EnvironmentsNow:
    """Counts agents by where they run."""

    development: int
    staging: int
    production: int


@dataclass(frozen=True, kw_only=True)
class AgentsNow:
    """Counts agents by status."""

    active: int
    suspended: int
    decommissioned: int
    environments: EnvironmentsNow
    """Of the active and suspended ones."""


@dataclass(frozen=True, kw_only=True)
class CredentialsNow:
    """Counts credentials."""

    active: int
    """Neither revoked nor past their end."""
    expiring: int
    """Of active agents, ending within 14 days."""


@dataclass(frozen=True, kw_only=True)
class SidecarsNow:
    """Counts sidecars by when they were last seen."""

    connected: int
    """Within 5 minutes."""
    last_hour: int


@dataclass(frozen=True, kw_only=True)
class StatsNow:
    """What there is at the time of the answer."""

    at: datetime
    agents: AgentsNow
    credentials: CredentialsNow
    tokens_this_month: int
    """Issued in this UTC calendar month."""
    sidecars: SidecarsNow


@dataclass(frozen=True, kw_only=True)
class Stats:
    """How often what happened, and what there is now. The counts are derived: the audit log is the evidence."""

    from_: datetime
    """When the first bucket begins."""
    to: datetime
    """When the last one ends."""
    step: StatsStep
    kept_from: datetime
    """Since when buckets of this step are whole."""
    organization_id: str | None = None
    """None: the whole installation."""
    buckets: tuple[StatsBucket, ...]
    """All between, oldest first."""
    totals: tuple[StatsCount, ...]
    top_denied: StatsTopDenied
    now: StatsNow
