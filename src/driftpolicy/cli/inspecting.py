"""``dfp data inspect``: what is in a data file, as a table."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from driftpolicy.data.summary import Summary, rewards, summarise, summarise_demonstrations
from driftpolicy.envs.tasks import Task, find_task
from driftpolicy.progress import format_bytes


def inspect(options: argparse.Namespace) -> int:
    """Print a table of what is in a file."""
    task = find_task(options.task) if options.task else None
    path = Path(options.file).expanduser()
    sections = _demonstrations(path) if path.suffix in (".hdf5", ".h5") else _rows(path)
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


def _rows(path: Path) -> list[dict[str, str]]:
    """An OGBench file."""
    summary = summarise(path)
    return [_origin(summary.description, summary.size), _contents(summary)]


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
    return ", ".join(
        f"{name.replace('_', ' ')} {value}" for name, value in pairs.items() if value is not None
    )


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
