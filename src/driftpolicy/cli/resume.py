"""``dfp resume``: continue a run from its last checkpoint."""

import argparse
from pathlib import Path

from rich.console import Console

from driftpolicy.cli.train import add_max_minutes


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("run_folder", metavar="RUN", help="the run's folder")
    add_max_minutes(parser)


def run(options: argparse.Namespace) -> int:
    """Continue; a run that was stopped before its first checkpoint starts over."""
    from driftpolicy.training.launch import launch
    from driftpolicy.training.run import RunFolder

    folder = RunFolder(Path(options.run_folder))
    folder.config()  # says so if there is no run, before a lock file is made
    return launch(folder, Console(), max_minutes=options.max_minutes)
