"""The command that makes a run by hand."""

import shlex
from pathlib import Path

from driftpolicy.flags import flag
from driftpolicy.suites.suite import Cell


def command_of(cell: Cell, root: Path | None = None) -> str:
    """Return the command that makes one run by hand, into its place under ``root`` if given."""
    words = ["dfp", "train", cell.task.name, "--method", cell.method, "--seed", str(cell.seed)]
    if cell.preset != "paper":
        words += ["--preset", cell.preset]
    for name, value in cell.overrides.items():
        if isinstance(value, bool):
            words.append(flag(name) if value else flag("no_" + name))
        elif isinstance(value, list | tuple):
            words += [flag(name), *map(str, value)]
        else:
            words += [flag(name), str(value)]
    if root is not None:
        words += ["--run", str(cell.folder(root).path)]
    return shlex.join(words)
