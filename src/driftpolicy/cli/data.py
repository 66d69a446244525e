"""``dfp data``: collect, inspect, download or publish prior data."""

import argparse
import contextlib
import os
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from driftpolicy.cli.hub import add_name
from driftpolicy.cli.inspecting import inspect
from driftpolicy.data.download import download as download_data
from driftpolicy.errors import UserError
from driftpolicy.progress import JobProgress, busy, format_bytes, format_seconds
from driftpolicy.tasks.ogbench.places import EPISODE_STEPS
from driftpolicy.tasks.registry import BENCHMARKS, benchmark_of, find_task_of_dataset


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of each subcommand."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    summary = "collect data on this machine, with the benchmark's own oracles"
    collecting = actions.add_parser("collect", help=summary, description=summary.capitalize())
    collecting.add_argument("name", metavar="DATASET", help="a dataset's name, or a task's")
    collecting.add_argument(
        "--episodes",
        type=int,
        metavar="N",
        help="how many [100, of Robomimic's tasks 300 successful demonstrations]",
    )
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
        metavar="N",
        help=f"observations per episode of OGBench's [{EPISODE_STEPS}, as published]",
    )
    collecting.add_argument(
        "--out", metavar="PATH", help="the file to write [data/DATASET-collected.npz]"
    )
    collecting.add_argument("--overwrite", action="store_true", help="replace what is there")
    collecting.set_defaults(act=collect)

    summary = "show what is in a data file or folder, and what is wrong with it"
    inspecting = actions.add_parser("inspect", help=summary, description=summary.capitalize())
    inspecting.add_argument(
        "file",
        metavar="SOURCE",
        help="a file, a folder of shards or a LeRobotDataset, a Minari dataset",
    )
    inspecting.add_argument("--task", help="relabel it for this task and show the rewards")
    inspecting.add_argument(
        "--env", metavar="ID", help="compare data of your own with this environment of your own"
    )
    inspecting.add_argument(
        "--columns",
        nargs="+",
        default=(),
        metavar="X",
        help="what data of your own are made of: observation=state,environment_state action=action",
    )
    inspecting.add_argument(
        "--skip-broken", action="store_true", help="leave out what is broken, a line each"
    )
    inspecting.set_defaults(act=inspect)

    summary = "replay recorded actions and see whether the file fits this simulator"
    verifying = actions.add_parser("verify", help=summary, description=summary.capitalize())
    verifying.add_argument("file", metavar="FILE", help="demonstrations in Robomimic's layout")
    verifying.add_argument("--demos", type=int, default=5, metavar="N", help="how many [5]")
    verifying.set_defaults(act=verify)

    summary = "download a published dataset"
    downloading = actions.add_parser("download", help=summary, description=summary.capitalize())
    downloading.add_argument("name", metavar="DATASET", help="a dataset's name, or a task's")
    downloading.add_argument("--sha256", metavar="HEX", help="refuse another file than this one")
    downloading.add_argument(
        "--from",
        dest="base_url",
        metavar="URL",
        help="another place [where the benchmark publishes it]",
    )
    downloading.add_argument(
        "--to",
        metavar="FOLDER",
        help="where to store it [~/.ogbench/data or ~/.robomimic, where it is looked for]",
    )
    downloading.add_argument("--overwrite", action="store_true", help="replace what is there")
    downloading.set_defaults(act=download)

    summary = "publish data of yours on the Hugging Face Hub"
    pushing = actions.add_parser("push", help=summary, description=summary.capitalize())
    pushing.add_argument("file", metavar="SOURCE", help="a file, or a folder of shards")
    add_name(pushing)
    pushing.set_defaults(act=push)

    summary = "fetch data from the Hugging Face Hub"
    pulling = actions.add_parser("pull", help=summary, description=summary.capitalize())
    pulling.add_argument("name", metavar="NAME", help="owner/name, or owner/name@COMMIT")
    pulling.add_argument("--to", metavar="FOLDER", help="[data/ and the repository's name]")
    pulling.add_argument("--overwrite", action="store_true", help="replace what is there")
    pulling.set_defaults(act=pull)


def run(options: argparse.Namespace) -> int:
    """Do what the subcommand asks for; return 130 after Ctrl-C."""
    return options.act(options)


def collect(options: argparse.Namespace) -> int:
    """Collect episodes into one file."""
    task = find_task_of_dataset(options.name)
    benchmark = benchmark_of(task)
    path = Path(options.out).expanduser() if options.out else benchmark.collected_path(task)
    if path.exists() and not options.overwrite:
        raise UserError(f"{path} is already there; --overwrite replaces it")
    count = benchmark.collected_episodes if options.episodes is None else options.episodes
    start = time.monotonic()
    episodes = benchmark.collect(
        task,
        path,
        episodes=count,
        seed=options.seed,
        processes=options.processes,
        episode_steps=options.episode_steps,
    )
    label = f"collecting {task.dataset}"
    try:
        with (
            contextlib.closing(episodes),
            JobProgress(label, count, unit="episodes") as progress,
        ):
            progress.update(0)
            for done in episodes:
                progress.update(done)
    except KeyboardInterrupt:
        return _interrupted("the same command continues where this one ended")
    size, seconds = path.stat().st_size, time.monotonic() - start
    print(
        f"{path}\n{count:,} episodes, {format_bytes(size)}, in {format_seconds(seconds)}\n"
        "labelled as collected: it is not the published dataset"
    )
    return 0


def download(options: argparse.Namespace) -> int:
    """Fetch a published file."""
    start = time.monotonic()
    task = find_task_of_dataset(options.name)
    published = benchmark_of(task).published(task)
    try:
        with JobProgress(f"downloading {options.name}") as progress:
            path = download_data(
                published,
                folder=Path(options.to) if options.to else None,
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


def push(options: argparse.Namespace) -> int:
    """Publish a file, or a folder of shards."""
    from driftpolicy.hub.datasets import push_data

    with busy(f"publishing {options.name}"):
        commit = push_data(Path(options.file).expanduser(), options.name, private=options.private)
    print(f"published; fetch it with: dfp data pull {options.name}@{commit}")
    return 0


def pull(options: argparse.Namespace) -> int:
    """Fetch data from the Hub."""
    from driftpolicy.hub.datasets import pull_data

    folder = Path(options.to).expanduser() if options.to else None
    try:
        path, commit = pull_data(options.name, folder, overwrite=options.overwrite)
    except KeyboardInterrupt:
        return _interrupted("the same command continues where this one ended")
    print(f"{path}\ncommit {commit}; train on it with --data {path}")
    return 0


def _interrupted(then: str) -> int:
    """Say in one line that the user has interrupted the command; return its exit status."""
    print(f"dfp: interrupted; {then}", file=sys.stderr)
    return 130


def verify(options: argparse.Namespace) -> int:
    """Replay demonstrations; return 1 if one that succeeded no longer does."""
    console = Console(highlight=False)
    if options.demos < 1:
        raise UserError(f"--demos must be at least 1, not {options.demos}")
    table = Table("demonstration", "steps", "success", "replayed", box=None, padding=(0, 2, 0, 0))
    for steps in ("1 step", "10", "100", "end", "seen"):
        table.add_column(steps, justify="right")
    path = Path(options.file).expanduser()
    replaying = [benchmark for benchmark in BENCHMARKS.values() if benchmark.verifies]
    benchmark = next((one for one in replaying if one.holds(path)), replaying[0])
    with JobProgress("replaying", options.demos, unit="demonstrations") as progress:
        mismatches, found = benchmark.verify(path, options.demos, progress.update)
    for sentence in mismatches:
        console.print(f"[yellow]{sentence}[/yellow]", soft_wrap=True)
    for each in found:
        table.add_row(
            each.name,
            str(each.steps),
            "yes" if each.recorded_success else "no",
            "yes" if each.replayed_success else "no",
            *(f"{apart:.2g}" for apart in each.divergence),
            "none" if each.observation != each.observation else f"{each.observation:.2g}",
        )
    console.print(table)
    recorded = sum(each.recorded_success for each in found)
    kept = sum(each.recorded_success and each.replayed_success for each in found)
    console.print(
        f"{kept} of {recorded} successful demonstrations succeed when their actions are replayed. "
        "How far positions are apart (m, rad) after 1, 10, 100 steps and at the end; seen: the "
        "recorded observations against what their states show here.",
        soft_wrap=True,
    )
    return 0 if kept == recorded else 1
