"""JSON that all readers agree on."""

from __future__ import annotations

import json
from typing import Any

MAX_DEPTH = 8
MAX_MEMBERS = 64  # of one object


class NotStrictError(ValueError):
    """Two readers might read this differently."""


def read_object(data: bytes) -> dict[str, Any]:
    """One JSON object: valid UTF-8 without lone surrogates, no member twice at any depth, at most 8 levels and 64
    members an object. Numbers without fraction and exponent are int, but `-0`, which is a float."""
    try:
        value = json.loads(
            data.decode(),
            object_pairs_hook=_members,
            parse_constant=_no_constant,
            parse_int=_integer,
            parse_float=float,
        )
        if not isinstance(value, dict):
            raise NotStrictError("not an object")
        _bounded(value, 1)
    except (ValueError, RecursionError) as error:
        raise NotStrictError("not strict JSON") from error
    return value


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs) or len(pairs) > MAX_MEMBERS:
        raise NotStrictError("a member twice, or too many")
    return members


def _no_constant(name: str) -> Any:
    raise NotStrictError(name)


def _integer(text: str) -> int | float:
    if text == "-0" or len(text) > 20:  # more digits than 64 bits hold
        return float(text)
    return int(text)


def _bounded(value: Any, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise NotStrictError("too deep")
    if isinstance(value, str):
        value.encode()  # a lone surrogate is a UnicodeEncodeError, which is a ValueError
    elif isinstance(value, dict):
        for name, member in value.items():
            name.encode()
            _bounded(member, depth + 1)
    elif isinstance(value, list):
        for element in value:
            _bounded(element, depth + 1)


def integer(value: Any) -> int | None:
    """The value if it is an integer of 64 bits."""
    if isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63:
        return value
    return None


def texts(value: Any) -> tuple[str, ...] | None:
    """The value if it is an array of strings only."""
    if isinstance(value, list) and all(isinstance(element, str) for element in value):
        return tuple(value)
    return None
