"""``dfp data inspect``: what is in a data file, as a table."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from driftpolicy.data import own, plain
from driftpolicy.tasks.custom.checks import findings, short_episodes
from driftpolicy.data.shards import heads
from driftpolicy.tasks.ogbench.summary import Summary, rewards, summarise, summarise_demonstrations
from driftpolicy.tasks.task import Task, find_task, own_task
from driftpolicy.errors import UserError
from driftpolicy.progress import format_bytes


def inspect(options: argparse.Namespace) -> int:
    """Print a table of what is in a file."""
    task = find_task(options.task) if options.task else None
    path = Path(options.file).expanduser()
    if not options.env and _holds_shards(path):
        if task:
            raise UserError(f"--task takes one file: inspect a shard of {path}")
        sections = _shards(path)
    elif not path.is_file() or plain.matches(path) or options.env:
        if task:
            raise UserError(f"{task.name} has data of its benchmark; --env takes data of your own")
        sections = _recorded(options.file, options.env)
    else:
        sections = _demonstrations(path) if path.suffix in plain.HDF5 else _rows(path)
    if task:
        sections.append(_worth(task, path))
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for number, section in enumerate(sections):
        if number:
            table.add_row()
        for name, value in section.items():
            table.add_row(name, value)
    Console(markup=False, highlight=False).print(table)
    return 0


def _recorded(source: str, environment: str | None) -> list[dict[str, str]]:
    """Data of one's own, compared with an environment if there is one."""
    from driftpolicy.agents.base import AgentConfig
    from driftpolicy.tasks.custom.environment import probe

    facts = probe(own_task(environment)) if environment else None
    path = own.find_source(source)
    form = own.format_of(path)
    recording, told = form.read(path), own.describe(path)
    lengths = recording.lengths
    ends = sum(trajectory.terminated for trajectory in recording.trajectories)
    returns = [t.rewards.sum() for t in recording.trajectories if t.rewards is not None]
    successes = [t.success.any() for t in recording.trajectories if t.success is not None]
    rate = recording.control_rate
    contents = {
        "episodes": f"{len(lengths):,}, {lengths.sum():,} steps",
        "episode length": f"{_spread(lengths)} steps",
        "control rate": f"{rate:g} Hz" if rate else "not recorded",
        "returns": _spread(np.array(returns)) if returns else "not recorded",
        "successes": f"{sum(successes):,} episodes" if successes else "not recorded",
        "terminated": f"{ends:,} episodes, the others end with their recording",
        "not read": ", ".join(recording.ignored) or "nothing",
    }
    numbers = {
        what: "\n".join(_ranges([getattr(t, what) for t in recording.trajectories]))
        for what in ("observations", "actions")
    }
    found = findings(recording, None, facts) + short_episodes(lengths, AgentConfig.chunk_length)
    lines = [("refused: " if f.refused else "warning: ") + f.text for f in found]
    size = sum(file.stat().st_size for file in form.files(path))
    place = {"data": str(path)}
    place["stored as"] = f"{told['origin']}, {format_bytes(size)}, crc32 {told['crc32']}"
    return [place, contents, numbers, {"checks": "\n".join(lines) or "passed"}]


def _ranges(parts: list[np.ndarray]) -> list[str]:
    """Of each number its least and its greatest value, a line each."""
    low = np.min([part.min(axis=0) for part in parts], axis=0)
    high = np.max([part.max(axis=0) for part in parts], axis=0)
    return [f"{i}: {a:.4g} to {b:.4g}" for i, (a, b) in enumerate(zip(low, high, strict=True))]


def _rows(path: Path) -> list[dict[str, str]]:
    """An OGBench file."""
    summary = summarise(path)
    return [_origin(summary.description, summary.size), _contents(summary)]


def _holds_shards(folder: Path) -> bool:
    """Whether a folder holds OGBench files: it has .npz files and no index of another format."""
    return any(folder.glob("*.npz")) and not any(form.matches(folder) for form in own.FORMATS)


def _shards(folder: Path) -> list[dict[str, str]]:
    """A folder of OGBench files; only their heads are read."""
    good, broken = heads(folder)
    size = sum(path.stat().st_size for path, _ in good)
    rows = np.array([count for _, count in good])
    names = f"{good[0][0].name} to {good[-1][0].name}" if good else "none"
    return [
        {
            "folder": f"{folder}, {format_bytes(size)}",
            "shards": f"{len(good)}: {names}",
            "rows": f"{rows.sum():,}" + (f", {_spread(rows)} each" if good else ""),
            "broken": "\n".join(broken) or "none, as far as their heads say",
        }
    ]


def _demonstrations(path: Path) -> list[dict[str, str]]:
    """A Robomimic file."""
    summary = summarise_demonstrations(path)
    returns, lengths = summary.returns, summary.lengths
    masks = "\n".join(f"{name} {count:,}" for name, count in summary.masks.items())
    contents = {
        "environment": f"{summary.environment}, recorded with robosuite {summary.version}",
        "robot": f"{summary.robot}, {summary.controller}",
        "demonstrations": f"{len(lengths):,}, {lengths.sum():,} transitions",
        "length": _spread(lengths),
        "returns": "not recorded" if returns is None else _spread(returns),
        "observations": summary.observations,
        "masks, operators": masks or "none",
    }
    return [_origin(summary.description, path.stat().st_size), contents]


def _spread(values: np.ndarray) -> str:
    least, median, greatest = values.min(), float(np.median(values)), values.max()
    if least == greatest:
        return f"{least:g}"
    return f"{least:g} to {greatest:g} (median {median:g})"


def _origin(description: dict[str, Any], bytes_: int) -> dict[str, str]:
    """Who made the file."""
    told = dict(description)
    size = f"{told.pop('path')}, {format_bytes(bytes_)}, crc32 {told.pop('crc32')}"
    origin = told.pop("origin")
    if not told:
        return {"file": size, "origin": "published, or unknown: the file does not say who made it"}
    maker = [f"by {told.pop('collected_by', '?')}", f"on {told.pop('machine', '?')}"]
    note = told.pop("note", None)
    versions = told.pop("versions", {})
    seed = told.pop("seed", "?")
    return {
        "file": size,
        "origin": f"{origin} {' '.join(maker)}" + (f"; {note}" if note else ""),
        "versions": _words(versions) if isinstance(versions, dict) else str(versions),
        "settings": _words(told),
        "seed": str(seed),
    }


def _words(pairs: dict[str, Any]) -> str:
    """``name value, name value``; what holds pairs of its own is told on a line of its own."""
    told = {name.replace("_", " "): v for name, v in pairs.items() if v is not None}
    flat = ", ".join(f"{name} {v}" for name, v in told.items() if not isinstance(v, dict))
    nested = [
        f"{name}: {', '.join(f'{key} {value}' for key, value in v.items())}"
        for name, v in told.items()
        if isinstance(v, dict)
    ]
    return "\n".join([flat, *nested] if flat else nested)


def _contents(summary: Summary) -> dict[str, str]:
    """What the arrays hold."""
    lengths = summary.lengths
    low, high = summary.action_range
    end = "" if summary.complete else ", the last without its end"
    bad = ", ".join(f"{count:,} in {name}" for name, count in summary.not_finite.items())
    return {
        "rows": f"{summary.rows:,}",
        "transitions": f"{lengths.sum():,}",
        "episodes": f"{len(lengths):,}{end}",
        "episode length": f"{_spread(lengths)} transitions",
        "arrays": "\n".join(f"{name} {text}" for name, text in summary.arrays.items()),
        "actions": f"from {low:.3g} to {high:.3g}",
        "NaN or infinite": bad or "none",
    }


def _worth(task: Task, path: Path) -> dict[str, str]:
    """What the file holds for a task."""
    found = rewards(task, path)
    return {
        "task": task.name,
        "rewards": f"from {found.least:g} to {found.greatest:g}",
        "mean return": f"{found.mean_return:.1f} per episode",
        "at the goal": f"{found.at_goal:,} transitions, in {found.episodes_with_goal} of "
        f"{found.episodes} episodes",
    }
