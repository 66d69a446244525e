"""Command-line flags made from config dataclasses: one source of every default and meaning."""

import argparse
import ast
import dataclasses
import inspect
import types
import typing
from typing import Any

from driftpolicy.flags import flag


def add_config_flags(group: Any, config: type, *, skip: tuple[str, ...] = ()) -> None:
    """Declare a flag for every field of a config class; absent flags leave no attribute.

    The help of a flag is the field's docstring in the source.
    """
    meanings = _field_docstrings(config)
    hints = typing.get_type_hints(config)
    for field in dataclasses.fields(config):
        if field.name not in skip:
            text = meanings.get(field.name, "").replace("%", "%%")
            group.add_argument(
                flag(field.name),
                dest=field.name,
                default=argparse.SUPPRESS,
                help=f"{text} [{_text(field.default)}]",
                **_parsing(hints[field.name]),
            )


def _text(default: Any) -> str:
    if isinstance(default, tuple):
        return " ".join(map(str, default)) or "none"
    return "none" if default is None else str(default)


def _parsing(hint: Any) -> dict[str, Any]:
    """Return argparse's arguments for a type."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return {"nargs": "+", "type": arguments[0], "action": _Tuple, "metavar": "X"}
    if origin is typing.Literal:
        return {"choices": arguments}
    if origin in (typing.Union, types.UnionType):
        return {"type": next(a for a in arguments if a is not type(None)), "metavar": "X"}
    if hint is bool:
        return {"action": argparse.BooleanOptionalAction}
    return {"type": hint, "metavar": hint.__name__.upper()}


class _Tuple(argparse.Action):
    def __call__(self, parser, namespace, values, option_string=None):
        setattr(namespace, self.dest, tuple(values or ()))


def _field_docstrings(config: type) -> dict[str, str]:
    """Return the string that follows each field in the source of a class and of its bases."""
    found: dict[str, str] = {}
    for cls in reversed(config.__mro__[:-1]):
        body = ast.parse(inspect.getsource(cls)).body[0]
        assert isinstance(body, ast.ClassDef)
        for field, text in zip(body.body, body.body[1:], strict=False):
            match field, text:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=v)):
                    found[name] = " ".join(str(v).split())
    return found
