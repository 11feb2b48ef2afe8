"""The audit log and its proofs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from .lists import JSONObject

Outcome = Literal["success", "failure", "denied"]
ExportFormat = Literal["ndjson", "csv"]
"""NDJSON can be verified without the IdP."""


@dataclass(frozen=True, kw_only=True)
class AuditEvent:
    """One entry of the audit log."""

    event_id: str
    sequence: int
    """Leaf index in the tree."""
    organization_id: str
    agent_id: str | None = None
    """Who acted."""
    action: str
    """`token.issued`."""
    outcome: Outcome
    reason: str | None = None
    ip_address: str | None = None
    user_agent: str | None = None
    request_id: str | None = None
    metadata: JSONObject | None = None
    timestamp: datetime


@dataclass(frozen=True, kw_only=True)
class AuditList:
    """One page of events, newest first."""

    data: tuple[AuditEvent, ...]
    next_cursor: str | None = None
    """None on the last page."""
    scanned_to: datetime | None = None
    """As far as was looked, when a page ended before it was full."""


@dataclass(frozen=True, kw_only=True)
class InclusionProof:
    """Proves that an event is in the log (RFC 6962 section 2.1.1). Hashes are base64."""

    leaf_index: int
    tree_size: int
    leaf_hash: str
    root_hash: str
    hashes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ConsistencyProof:
    """Proves that a later log extends an earlier one (RFC 6962 section 2.1.2)."""

    first_size: int
    second_size: int
    first_root: str
    second_root: str
    hashes: tuple[str, ...]
