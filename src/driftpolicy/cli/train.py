"""``dfp train``: a new run."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from driftpolicy.agents import METHODS, find_method
from driftpolicy.cli.numbers import number, whole
from driftpolicy.cli.options import add_config_flags
from driftpolicy.config import TrainConfig
from driftpolicy.errors import UserError
from driftpolicy.presets import PRESETS
from driftpolicy.settings import DEFAULT_METHOD, DEFAULT_PRESET, SettingsFile
from driftpolicy.tasks.custom.tasks import CUSTOM_PREFIX

if TYPE_CHECKING:
    from driftpolicy.runs.folder import RunFolder
    from driftpolicy.settings import Settled

_NOT_SETTINGS = (
    "command",
    "run",
    "task",
    "env",
    "method",
    "preset",
    "config",
    "dry_run",
    "folder",
    "runs",
    "seeds",
    "max_minutes",
)
"""Options that are not fields of a config."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments: those below, and one for every field of a run's config."""
    parser.add_argument("task", nargs="?", help="a task's name; the preset may have one")
    parser.add_argument(
        "--env",
        metavar="ID",
        help="an environment of your own instead: Gymnasium's id, or module:function or "
        "file.py:function that makes one; with --data (see docs/robot.md)",
    )
    parser.add_argument("--method", help=f"one of {', '.join(METHODS)} [{DEFAULT_METHOD}]")
    parser.add_argument("--preset", help=f"one of {', '.join(PRESETS)} [{DEFAULT_PRESET}]")
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="settings from a TOML file, or from a run's config.json; flags win over them",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="print all settings, as such a file, with where each comes from; start nothing",
    )
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


def look_ahead(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> None:
    """Declare a flag for every setting of the method that the arguments name."""
    finder = argparse.ArgumentParser(add_help=False)
    # Where --method lacks its name, the command's parser says so.
    finder.add_argument("--method", nargs="?")
    finder.add_argument("--config", nargs="?")
    found = finder.parse_known_args(arguments)[0]
    method = found.method
    if method is None and found.config is not None:
        method = SettingsFile.read(found.config).text("method")
    method = method or DEFAULT_METHOD
    add_config_flags(parser.add_argument_group(f"method {method}"), find_method(method).config)


def add_max_minutes(parser: argparse.ArgumentParser) -> None:
    """Declare the time limit that the commands that train share."""
    parser.add_argument(
        "--max-minutes",
        type=_positive,
        metavar="M",
        help="stop with a checkpoint after so many minutes, for queues with a time limit",
    )


def _positive(text: str) -> float:
    value = number(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"must be above 0, not {text}")
    return value


def _seeds(text: str) -> tuple[int, ...]:
    seeds = tuple(whole(part) for part in text.split(","))
    if len(set(seeds)) < len(seeds):
        raise argparse.ArgumentTypeError(f"names a seed twice: {text}")
    return seeds


def run(options: argparse.Namespace) -> int:
    """Create the run folders and train."""
    from driftpolicy.api import create_runs, plan_runs
    from driftpolicy.training.launch import launch

    settings = {name: value for name, value in vars(options).items() if name not in _NOT_SETTINGS}
    if options.seeds and options.folder:
        raise UserError("--run names the folder of one run: with --seeds use --runs")
    if options.seeds and "seed" in settings:
        raise UserError("give --seed or --seeds, not both")
    if options.task and options.env:
        raise UserError(f"name a task or --env, not both: {options.task}, {options.env}")
    each = [settings | {"seed": seed} for seed in options.seeds or ()] or [settings]
    task = CUSTOM_PREFIX + options.env if options.env else options.task
    places = {
        "preset": options.preset,
        "config": options.config,
        "runs": options.runs,
        "run": options.folder,
    }
    if options.dry_run:
        _print_plans(plan_runs(task, options.method, each, **places))
        return 0
    folders = create_runs(task, options.method, each, **places)
    return launch(folders, Console(), max_minutes=options.max_minutes, new=True)


def _print_plans(plans: "Sequence[tuple[RunFolder, Settled]]") -> None:
    """Print where runs would go and what they would do: of several, which differ in their seed."""
    console = Console()
    for folder, _ in plans:
        there = "  (holds a run already)" if folder.begun() else ""
        console.print(Text(f"# {folder.path}{there}", style="bold"), soft_wrap=True)
    console.print()
    for line in plans[0][1].to_toml().splitlines():
        text = Text(line)
        text.highlight_regex(r"#.*", "dim")
        console.print(text, soft_wrap=True)
