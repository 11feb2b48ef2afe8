"""Models from JSON, and back. A member's name is the field's in camelCase, unless the model says otherwise."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Hashable
from datetime import datetime, timezone
from functools import cache
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from .errors import InvalidAnswerError

T = TypeVar("T")
Decoder = Callable[[Any], Any]


class _Unset:
    def __repr__(self) -> str:
        return "UNSET"

    def __bool__(self) -> Literal[False]:
        return False


UNSET: Any = _Unset()
"""A member that is left as it is; None clears it."""


def member_name(model: type, field: str) -> str:
    """The JSON name of a field."""
    if getattr(model, "SNAKE_CASE", False):
        return field
    first, *rest = field.rstrip("_").split("_")
    return first + "".join(part.capitalize() for part in rest)


def decode(model: type[T], value: Any) -> T:
    """The model that the value, parsed JSON, stands for. Unknown members are ignored. InvalidAnswerError."""
    try:
        decoded: T = _decoder(cast(Hashable, model))(value)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidAnswerError(f"the answer is no {getattr(model, '__name__', model)}: {error!r}") from None
    return decoded


def encode(value: Any) -> Any:
    """Parsed JSON of a model or its parts. Members that are None or unset are left out."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        members = {member_name(type(value), f.name): getattr(value, f.name) for f in dataclasses.fields(value)}
        return {name: encode(member) for name, member in members.items() if member is not None}
    if isinstance(value, datetime):
        return format_time(value)
    if isinstance(value, (list, tuple)):
        return [encode(element) for element in value]
    return value


def members(**values: Any) -> dict[str, Any]:
    """A body of what is set; None is null."""
    return {member_name(object, name): encode(value) for name, value in values.items() if value is not UNSET}


def parse_time(text: str) -> datetime:
    """RFC 3339."""
    parsed = datetime.fromisoformat(text.replace("Z", "+00:00"))
    if parsed.tzinfo is None:
        raise ValueError("a time without offset")
    return parsed


def format_time(time: datetime) -> str:
    """RFC 3339 in UTC with three decimals. ValueError for a time without offset: it could be any."""
    if time.tzinfo is None:
        raise ValueError("a time needs its offset: datetime.now(timezone.utc)")
    utc = time.astimezone(timezone.utc)
    return utc.strftime("%Y-%m-%dT%H:%M:%S.") + f"{utc.microsecond // 1000:03d}Z"


@cache
def _decoder(kind: Any) -> Decoder:
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return lambda value: value
    if dataclasses.is_dataclass(kind):
        return _model(kind, ())
    if dataclasses.is_dataclass(origin):
        return _model(origin, arguments)
    if kind is datetime:
        return lambda value: parse_time(_checked(value, str))
    if origin is Literal:  # values may be added: only their type counts
        return _scalar(type(arguments[0]))
    if origin in (Union, types.UnionType):
        inner = _decoder(next(a for a in arguments if a is not type(None)))
        return lambda value: None if value is None else inner(value)
    if origin is tuple:
        element = _decoder(arguments[0])
        return lambda value: tuple(element(v) for v in _checked(value, list))
    if origin is dict:
        member = _decoder(arguments[1])
        return lambda value: {name: member(v) for name, v in _checked(value, dict).items()}
    return _scalar(kind)


def _scalar(kind: Any) -> Decoder:
    return (
        (lambda value: float(_checked(value, (int, float)))) if kind is float else (lambda value: _checked(value, kind))
    )


def _checked(value: Any, kind: Any) -> Any:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise TypeError(f"not {kind}")  # never the value: it may be a secret
    return value


def _model(model: Any, arguments: tuple[Any, ...]) -> Decoder:
    hints = get_type_hints(model)
    if arguments:  # of a generic one
        hints = {n: hint[arguments] if getattr(hint, "__parameters__", ()) else hint for n, hint in hints.items()}
    fields = [(f.name, member_name(model, f.name), _decoder(hints[f.name])) for f in dataclasses.fields(model)]

    def build(value: Any) -> Any:
        given = _checked(value, dict)
        return model(**{name: read(given[member]) for name, member, read in fields if member in given})

    return build
