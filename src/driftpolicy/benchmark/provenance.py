"""Where results come from: commands, versions, and the data of every run."""

import importlib.metadata
import platform
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from driftpolicy import __version__
from driftpolicy.agents.base import flag
from driftpolicy.benchmark.published import task_title
from driftpolicy.benchmark.results import Result
from driftpolicy.benchmark.suite import Cell
from driftpolicy.tasks.registry import find_task

_PACKAGES = ("jax", "equinox", "optax", "numpy", "mujoco", "ogbench", "robosuite")


class DataRecord(NamedTuple):
    """A file of prior data and what was trained on it."""

    dataset: str
    origin: str
    """``published``, ``collected``, or ``not recorded``."""
    maker: str
    """Who made it, how and with what, as far as the file says."""
    crc32: str
    tasks: tuple[str, ...]
    runs: int


def command_of(cell: Cell, root: Path | None = None) -> str:
    """The command that makes one run by hand, into its place under ``root`` if that is given."""
    words = ["dfp", "train", cell.task, "--method", cell.method, "--seed", str(cell.seed)]
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


def versions() -> dict[str, str]:
    """Of this package, Python and the packages that decide a result; those that are installed."""
    found = {"driftpolicy": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def data_records(results: Sequence[Result]) -> list[DataRecord]:
    """The files of prior data that the runs say they used, in the order of the tasks."""
    groups: dict[tuple[str, str, str, str], list[Result]] = {}
    for result in results:
        if result.evaluations:
            data = result.summary.get("data")
            told = dict(data) if isinstance(data, dict) else {}
            key = (
                find_task(result.cell.task).dataset,
                str(told.pop("origin", "not recorded")),
                str(told.pop("crc32", "")),
                _maker(told),
            )
            groups.setdefault(key, []).append(result)
    return [
        DataRecord(
            *(dataset, origin, maker, crc32),
            tasks=tuple(dict.fromkeys(task_title(run.cell.task) for run in runs)),
            runs=len(runs),
        )
        for (dataset, origin, crc32, maker), runs in groups.items()
    ]


def _maker(told: dict[str, Any]) -> str:
    """What a file says of itself, in words; not where it was on the machine that trained."""
    told.pop("path", None)
    parts = []
    for name, value in told.items():
        words = (
            ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
        )
        parts.append(f"{name.replace('_', ' ')}: {words}")
    return "; ".join(parts)
