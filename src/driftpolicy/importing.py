"""A user's Python objects by name: ``module:name`` or ``file.py:name``."""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from driftpolicy.errors import UserError


def load_object(place: str) -> Any:
    """Return the object that ``module:name`` or ``path/to/file.py:name`` names.

    Raises:
        UserError: if there is no such file, module or name.
    """
    head, _, name = place.rpartition(":")
    if not head or not name:
        raise UserError(f"{place!r} is neither module:name nor file.py:name")
    try:
        module = load_module(head)
    except ImportError as error:
        raise UserError(f"cannot import {head}: {error}") from None
    if not hasattr(module, name):
        raise UserError(f"{head} has no {name}")
    return getattr(module, name)


def load_module(head: str) -> ModuleType:
    """Return a module by its name, looked for in the present folder too, or by its file.

    Raises:
        UserError: if there is no such file.
        ImportError: if there is no such module.
    """
    if not head.endswith(".py"):
        if "" not in sys.path:
            sys.path.append("")
        return importlib.import_module(head)
    path = Path(head).expanduser()
    if not path.is_file():
        raise UserError(f"{head}: no such file")
    known = "_user_" + str(path.resolve()).replace(".", "_")
    if known not in sys.modules:
        spec = importlib.util.spec_from_file_location(known, path)
        assert spec is not None
        assert spec.loader is not None
        sys.path.append(str(path.parent.resolve()))  # it may import what lies beside it
        sys.modules[known] = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(sys.modules[known])
        except BaseException:
            del sys.modules[known]
            raise
    return sys.modules[known]
