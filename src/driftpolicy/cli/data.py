"""``dfp data``: collect, inspect or download prior data."""

import argparse
import contextlib
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from driftpolicy.data import ogbench
from driftpolicy.data.collect import EPISODE_STEPS
from driftpolicy.data.collect import collect as collect_data
from driftpolicy.data.download import BASE_URL
from driftpolicy.data.download import download as download_data
from driftpolicy.data.summary import Summary, rewards, summarise
from driftpolicy.envs.tasks import Task, find_task
from driftpolicy.errors import UserError
from driftpolicy.progress import JobProgress, format_bytes, format_seconds


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of each subcommand."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    summary = "collect data on this machine, with the benchmark's own oracles"
    collecting = actions.add_parser("collect", help=summary, description=summary.capitalize())
    collecting.add_argument("name", metavar="DATASET", help="a dataset's name, or a task's")
    collecting.add_argument("--episodes", type=int, default=100, metavar="N", help="[100]")
    collecting.add_argument(
        "--seed", type=int, default=0, metavar="N", help="same seed, same data [0]"
    )
    cpus = len(os.sched_getaffinity(0))
    collecting.add_argument(
        "--processes",
        type=int,
        default=cpus,
        metavar="N",
        help=f"as many as processors by default, without effect on the data [{cpus}]",
    )
    collecting.add_argument(
        "--episode-steps",
        type=int,
        default=EPISODE_STEPS,
        metavar="N",
        help=f"observations per episode; the published number is the default [{EPISODE_STEPS}]",
    )
    collecting.add_argument("--out", metavar="PATH", help="[data/DATASET-collected.npz]")
    collecting.add_argument("--overwrite", action="store_true", help="replace what is there")
    collecting.set_defaults(act=collect)

    summary = "show what is in a data file"
    inspecting = actions.add_parser("inspect", help=summary, description=summary.capitalize())
    inspecting.add_argument("file", metavar="FILE")
    inspecting.add_argument("--task", help="relabel it for this task and show the rewards")
    inspecting.set_defaults(act=inspect)

    summary = "download a published dataset"
    downloading = actions.add_parser("download", help=summary, description=summary.capitalize())
    downloading.add_argument("name", metavar="DATASET", help="a dataset's name, or a task's")
    downloading.add_argument("--sha256", metavar="HEX", help="refuse another file than this one")
    downloading.add_argument(
        "--from", dest="base_url", metavar="URL", default=BASE_URL, help=f"[{BASE_URL}]"
    )
    folder = ogbench.PUBLISHED_FOLDER
    downloading.add_argument("--to", metavar="FOLDER", default=str(folder), help=f"[{folder}]")
    downloading.add_argument("--overwrite", action="store_true", help="replace what is there")
    downloading.set_defaults(act=download)


def run(options: argparse.Namespace) -> int:
    """Do what the subcommand says; 130 after Ctrl-C."""
    return options.act(options)


def collect(options: argparse.Namespace) -> int:
    """Collect episodes into one file."""
    task = ogbench.find_source(options.name)
    path = Path(options.out).expanduser() if options.out else ogbench.collected_path(task.dataset)
    if path.exists() and not options.overwrite:
        raise UserError(f"{path} is already there; --overwrite replaces it")
    start = time.monotonic()
    episodes = collect_data(
        task.family,
        task.kind,
        path,
        episodes=options.episodes,
        seed=options.seed,
        processes=options.processes,
        episode_steps=options.episode_steps,
    )
    label = f"collecting {task.dataset}"
    try:
        with (
            contextlib.closing(episodes),
            JobProgress(label, options.episodes, unit="episodes") as progress,
        ):
            progress.update(0)
            for done in episodes:
                progress.update(done)
    except KeyboardInterrupt:
        return _interrupted("nothing was written")
    transitions = options.episodes * (options.episode_steps - 1)
    size, seconds = path.stat().st_size, time.monotonic() - start
    print(
        f"{path}\n{options.episodes:,} episodes, {transitions:,} transitions, "
        f"{format_bytes(size)}, in {format_seconds(seconds)}\n"
        "labelled as collected: it is not the published dataset"
    )
    return 0


def download(options: argparse.Namespace) -> int:
    """Fetch a published file."""
    start = time.monotonic()
    try:
        with JobProgress(f"downloading {options.name}") as progress:
            path = download_data(
                options.name,
                folder=Path(options.to),
                base_url=options.base_url,
                sha256=options.sha256,
                overwrite=options.overwrite,
                progress=progress.update,
            )
    except KeyboardInterrupt:
        return _interrupted("the same command continues where this one ended")
    seconds = format_seconds(time.monotonic() - start)
    print(f"{path}\n{format_bytes(path.stat().st_size)}, in {seconds}, checksums verified")
    return 0


def _interrupted(then: str) -> int:
    print(f"dfp: interrupted; {then}", file=sys.stderr)
    return 130


def inspect(options: argparse.Namespace) -> int:
    """Print a table of what is in a file."""
    task = find_task(options.task) if options.task else None
    path = Path(options.file).expanduser()
    summary = summarise(path)
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    sections = [_origin(summary), _contents(summary)]
    if task:
        sections.append(_worth(task, path, len(summary.lengths)))
    for number, section in enumerate(sections):
        if number:
            table.add_row()
        for name, value in section.items():
            table.add_row(name, value)
    Console(markup=False, highlight=False).print(table)
    return 0


def _origin(summary: Summary) -> dict[str, str]:
    """Who made the file."""
    told = dict(summary.description)
    size = f"{told.pop('path')}, {format_bytes(summary.size)}, crc32 {told.pop('crc32')}"
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
    least, median, greatest = lengths.min(), float(np.median(lengths)), lengths.max()
    spread = f"{least:,}"
    if least != greatest:
        spread += f" to {greatest:,} (median {median:g})"
    low, high = summary.action_range
    end = "" if summary.complete else ", the last without its end"
    bad = ", ".join(f"{count:,} in {name}" for name, count in summary.not_finite.items())
    return {
        "rows": f"{summary.rows:,}",
        "transitions": f"{lengths.sum():,}",
        "episodes": f"{len(lengths):,}{end}",
        "episode length": f"{spread} transitions",
        "arrays": "\n".join(f"{name} {text}" for name, text in summary.arrays.items()),
        "actions": f"from {low:.3g} to {high:.3g}",
        "NaN or infinite": bad or "none",
    }


def _worth(task: Task, path: Path, episodes: int) -> dict[str, str]:
    """What the file holds for a task."""
    found = rewards(task, path)
    return {
        "task": task.name,
        "rewards": f"from {found.least:g} to {found.greatest:g}",
        "mean return": f"{found.mean_return:.1f} per episode",
        "at the goal": f"{found.at_goal:,} transitions, in {found.episodes_with_goal} of "
        f"{episodes} episodes",
    }
