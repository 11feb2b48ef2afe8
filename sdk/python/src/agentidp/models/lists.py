"""What all topics speak of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

JSONObject = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Page(Generic[T]):
    """One page of a list."""

    data: tuple[T, ...]
    total: int
    """Entries on all pages."""
    page: int
    limit: int
