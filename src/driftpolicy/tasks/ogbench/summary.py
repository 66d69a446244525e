"""The contents of OGBench's files in numbers, and in the sections of a table."""

import dataclasses
from pathlib import Path
from typing import Any, cast

import numpy as np
from jaxtyping import Bool, Int64

from driftpolicy.agents.base import AgentConfig
from driftpolicy.data.checks import short_episodes
from driftpolicy.data.findings import Finding
from driftpolicy.data.transitions import Dataset
from driftpolicy.errors import UserError
from driftpolicy.progress import format_bytes
from driftpolicy.tasks.benchmark import Checks, LoadOptions, Section
from driftpolicy.tasks.ogbench.dataset import REQUIRED, describe, examine, read_arrays
from driftpolicy.tasks.ogbench.shards import read_heads
from driftpolicy.tasks.sections import origin_section, rewards_section, spread
from driftpolicy.tasks.task import Task


@dataclasses.dataclass(frozen=True)
class Summary:
    """A data file, before it is relabelled for any task."""

    description: dict[str, Any]
    """Who made it, as :func:`driftpolicy.tasks.ogbench.dataset.describe` says."""
    size: int
    """Bytes on the disk."""
    arrays: dict[str, str]
    """Type and shape of each array, as ``float32 [1001, 28]``."""
    rows: int
    """Stored observations."""
    lengths: Int64[np.ndarray, " episodes"]
    """Transitions of each episode; the last one may lack its end."""
    complete: bool
    """Whether the data end where an episode ends."""
    action_range: tuple[float, float]
    """The least and the greatest number in the actions; NaN if there is one."""
    not_finite: dict[str, int]
    """How many numbers of each array are NaN or infinite, where there are any."""


def summarise(path: Path) -> Summary:
    """Read a whole file, its checksums verified.

    Raises:
        UserError: if the file is missing, truncated, or no OGBench dataset.
    """
    data = read_arrays(path)
    rows = {name: len(data.get(name, ())) for name in REQUIRED}
    if len(set(rows.values())) != 1 or not rows["observations"]:
        counts = ", ".join(f"{name} {count}" for name, count in rows.items())
        raise UserError(f"{path} is not an OGBench dataset: its arrays differ in rows ({counts})")
    numbers = {name: array for name, array in data.items() if array.dtype.kind in "bfiu"}
    odd = [name for name in REQUIRED if name not in numbers]
    if odd:
        raise UserError(f"{path} is not an OGBench dataset: {', '.join(odd)} are not numbers")
    last = data["terminals"].astype(bool).reshape(rows["terminals"], -1)[:, 0]
    bad = {name: int(np.sum(~np.isfinite(array))) for name, array in numbers.items()}
    return Summary(
        description=describe(path),
        size=path.stat().st_size,
        arrays={name: f"{array.dtype} {list(array.shape)}" for name, array in data.items()},
        rows=rows["observations"],
        lengths=_episode_lengths(last),
        complete=bool(last[-1]),
        action_range=(float(data["actions"].min()), float(data["actions"].max())),
        not_finite={name: count for name, count in bad.items() if count},
    )


def _episode_lengths(last: Bool[np.ndarray, " rows"]) -> Int64[np.ndarray, " episodes"]:
    """Return the transitions of each episode: one less than its rows."""
    ends = np.flatnonzero(last)
    if len(ends) == 0 or ends[-1] != len(last) - 1:
        ends = np.append(ends, len(last) - 1)
    return np.diff(ends, prepend=-1) - 1


def inspect_file(path: Path, task: Task | None, options: LoadOptions) -> list[Section]:
    """Say what is in a file, what is wrong with it, and what it is worth for a task.

    Raises:
        UserError: if it cannot be read.
    """
    summary = summarise(path)
    sections = [origin_section(summary.description, summary.size), _contents(summary)]
    try:
        found = examine(task, path, options)
    except UserError as error:  # it can be read, but does not fit
        text = str(error).removeprefix(f"{path}: ")
        return [*sections, Checks([Finding(text, refused=True)])]
    short = short_episodes(summary.lengths, AgentConfig.chunk_length)
    checks = Checks([*found.findings, *short])
    if task is not None and not checks.refused:
        sections.append(rewards_section(task, Dataset(**cast(Any, found.columns))))
    return [*sections, checks]


def inspect_shards(folder: Path) -> list[Section]:
    """Say what is in a folder of shards, of which only the heads are read.

    Raises:
        UserError: if there is no shard.
    """
    good, broken = read_heads(folder)
    size = sum(path.stat().st_size for path, _ in good)
    rows = np.array([count for _, count in good])
    names = f"{good[0][0].name} to {good[-1][0].name}" if good else "none"
    return [
        {
            "folder": f"{folder}, {format_bytes(size)}",
            "shards": f"{len(good)}: {names}",
            "rows": f"{rows.sum():,}" + (f", {spread(rows)} each" if good else ""),
            "broken": "\n".join(broken) or "none, as far as their heads say",
        }
    ]


def _contents(summary: Summary) -> Section:
    """Say what the arrays hold."""
    lengths = summary.lengths
    low, high = summary.action_range
    end = "" if summary.complete else ", the last without its end"
    bad = ", ".join(f"{count:,} in {name}" for name, count in summary.not_finite.items())
    return {
        "rows": f"{summary.rows:,}",
        "transitions": f"{lengths.sum():,}",
        "episodes": f"{len(lengths):,}{end}",
        "episode length": f"{spread(lengths)} transitions",
        "arrays": "\n".join(f"{name} {text}" for name, text in summary.arrays.items()),
        "actions": f"from {low:.3g} to {high:.3g}",
        "NaN or infinite": bad or "none",
    }
