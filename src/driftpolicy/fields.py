"""The types of settings: what a file or a caller gives, as the fields of a config have it."""

import os
import types
import typing
from collections.abc import Mapping
from typing import Any

import numpy as np

from driftpolicy.errors import FieldError

_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


def require_types(values: Mapping[str, Any], *configs: type) -> dict[str, Any]:
    """Return values in the types of the fields they are for, those of no field as they are.

    Args:
        values: by the names of fields.
        configs: the dataclasses whose fields they are.

    Raises:
        FieldError: for a value that has another type.
    """
    hints: dict[str, Any] = {}
    for config in configs:
        hints |= typing.get_type_hints(config)
    typed = {name: convert(value, hints.get(name, object)) for name, value in values.items()}
    for name, value in typed.items():
        if not fits(value, hints.get(name, object)):
            raise FieldError(name, kind(hints[name]), repr(values[name]))
    return typed


def convert(value: Any, hint: Any) -> Any:
    """Return a value of JSON, TOML or Python in the type of a config's field, if it can be."""
    arguments = typing.get_args(hint)
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple):
        rows = [one for one in (hint, *arguments) if typing.get_origin(one) is tuple]
        items = _items(rows[0], len(value)) if rows else ()
        return tuple(map(convert, value, items)) if len(items) == len(value) else tuple(value)
    if isinstance(value, os.PathLike) and (hint is str or str in arguments):
        return os.fspath(value)
    takes_float = hint is float or float in arguments
    return float(value) if takes_float and type(value) is int else value


def fits(value: Any, hint: Any) -> bool:
    """Tell whether a value has the type of a config field."""
    arguments = typing.get_args(hint)
    if hint in (object, Any):
        return True
    if typing.get_origin(hint) is typing.Literal:
        return value in arguments
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, tuple):
            return False
        items = _items(hint, len(value))
        return len(value) == len(items) and all(map(fits, value, items))
    if arguments:  # a union
        return any(fits(value, one) for one in arguments)
    return type(value) is hint


def kind(hint: Any) -> str:
    """Return in words what a value of this type is."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return "one of " + ", ".join(map(str, arguments))
    if origin is tuple:
        if arguments[-1] is not Ellipsis:
            return f"a list of {len(arguments)}: {', '.join(map(kind, arguments))}"
        return f"a list, each {kind(arguments[0])}"
    if origin in (typing.Union, types.UnionType):
        return " or ".join(kind(one) for one in arguments if one is not type(None))
    return _KINDS.get(hint) or f"of the type {getattr(hint, '__name__', hint)}"


def _items(hint: Any, length: int) -> tuple[Any, ...]:
    """Return the types of a tuple's items: as many as there are, or as the hint counts."""
    arguments = typing.get_args(hint)
    return arguments[:1] * length if arguments[-1] is Ellipsis else arguments
