"""``dfp resume``: continue runs from their last checkpoints."""

import argparse

from rich.console import Console

from driftpolicy.cli.train import add_max_minutes


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "run_folders", nargs="+", metavar="RUN", help="the run's folder; several go side by side"
    )
    parser.add_argument(
        "--resume-episode",
        choices=("exact", "restart"),
        default="exact",
        help="go on in the middle of the checkpoint's episode, or, where the environment does not "
        "reproduce it, begin a fresh one [exact]",
    )
    add_max_minutes(parser)


def run(options: argparse.Namespace) -> int:
    """Continue; a run that was stopped before its first checkpoint starts over."""
    from driftpolicy.api import find_runs
    from driftpolicy.training.launch import launch

    return launch(
        find_runs(options.run_folders),
        Console(),
        max_minutes=options.max_minutes,
        fresh_episode=options.resume_episode == "restart",
    )
