"""``dfp train``: a new run."""

import argparse
import contextlib
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from driftpolicy.agents import METHODS
from driftpolicy.cli.options import add_config_flags
from driftpolicy.errors import UserError
from driftpolicy.tasks.custom.tasks import CUSTOM_PREFIX
from driftpolicy.training.config import TrainConfig, method_of, resolve
from driftpolicy.training.presets import PRESETS

_OWN = (
    "command",
    "run",
    "task",
    "env",
    "method",
    "preset",
    "folder",
    "runs",
    "seeds",
    "max_minutes",
)


def configure(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> None:
    """Declare the arguments: those below, and one for every field of the configs.

    ``arguments`` name the method whose config that is.
    """
    parser.add_argument("task", nargs="?", help="a task's name; the preset may have one")
    parser.add_argument(
        "--env",
        metavar="ID",
        help="an environment of your own instead: Gymnasium's id, or module:function or "
        "file.py:function that makes one; with --data (see docs/robot.md)",
    )
    parser.add_argument("--method", default="dfp", help=f"one of {', '.join(METHODS)} [dfp]")
    parser.add_argument("--preset", default="paper", help=f"one of {', '.join(PRESETS)} [paper]")
    parser.add_argument("--runs", default="runs", help="where run folders are made [runs]")
    parser.add_argument("--run", dest="folder", help="this run folder instead")
    parser.add_argument(
        "--seeds",
        type=_seeds,
        metavar="S,S,...",
        help="train these seeds side by side, each an ordinary run in its own folder",
    )
    add_max_minutes(parser)
    add_config_flags(
        parser.add_argument_group("training"),
        TrainConfig,
        skip=("task", "method", "agent"),
    )
    method = _asked_method(arguments)
    add_config_flags(parser.add_argument_group(f"method {method}"), method_of(method)[1])


def add_max_minutes(parser: argparse.ArgumentParser) -> None:
    """The time limit that ``train`` and ``resume`` share."""
    parser.add_argument(
        "--max-minutes",
        type=_positive,
        metavar="M",
        help="stop with a checkpoint after so many minutes, for queues with a time limit",
    )


def _positive(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"must be above 0, not {text}")
    return value


def _seeds(text: str) -> tuple[int, ...]:
    seeds = tuple(int(part) for part in text.split(","))
    if len(set(seeds)) < len(seeds):
        raise argparse.ArgumentTypeError(f"names a seed twice: {text}")
    return seeds


def _asked_method(arguments: Sequence[str]) -> str:
    """The method named among the arguments, whose settings the flags are."""
    finder = argparse.ArgumentParser(add_help=False)
    # Without a name it is the command's own parser that says so.
    finder.add_argument("--method", nargs="?", default="dfp", const="dfp")
    return finder.parse_known_args(arguments)[0].method


def run(options: argparse.Namespace) -> int:
    """Create the run folder and train."""
    from driftpolicy.training.launch import launch
    from driftpolicy.training.run import RunFolder

    given = {name: value for name, value in vars(options).items() if name not in _OWN}
    if options.seeds and options.folder:
        raise UserError("--run names the folder of one run: with --seeds use --runs")
    if options.seeds and "seed" in given:
        raise UserError("give --seed or --seeds, not both")
    if options.task and options.env:
        raise UserError(f"name a task or --env, not both: {options.task}, {options.env}")
    task = CUSTOM_PREFIX + options.env if options.env else options.task
    folders = []
    with contextlib.ExitStack() as locks:
        for own in [{"seed": seed} for seed in options.seeds or ()] or [{}]:
            config = resolve(task, options.method, options.preset, given | own)
            folder = (
                RunFolder(Path(options.folder))
                if options.folder
                else RunFolder.of(config, Path(options.runs))
            )
            locks.enter_context(folder.lock())
            folder.create(config)
            folders.append(folder)
    return launch(folders, Console(), max_minutes=options.max_minutes)
