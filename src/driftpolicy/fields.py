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
        item = typing.get_args(rows[0])[0] if rows else object
        return tuple(convert(one, item) for one in value)
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
        return isinstance(value, tuple) and all(fits(item, arguments[0]) for item in value)
    if arguments:  # a union
        return any(fits(value, one) for one in arguments)
    return type(value) is hint


def kind(hint: Any) -> str:
    """Return in words what a value of this type is."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return "one of " + ", ".join(map(str, arguments))
    if origin is tuple:
        return f"a list, each {kind(arguments[0])}"
    if origin in (typing.Union, types.UnionType):
        return " or ".join(kind(one) for one in arguments if one is not type(None))
    return _KINDS.get(hint) or f"of the type {getattr(hint, '__name__', hint)}"
