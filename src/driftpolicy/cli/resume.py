"""``dfp resume``: continue runs from their last checkpoints."""

import argparse
from pathlib import Path

from rich.console import Console

from driftpolicy.cli.train import add_max_minutes


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "run_folders", nargs="+", metavar="RUN", help="the run's folder; several go side by side"
    )
    add_max_minutes(parser)


def run(options: argparse.Namespace) -> int:
    """Continue; a run that was stopped before its first checkpoint starts over."""
    from driftpolicy.runs.folder import RunFolder
    from driftpolicy.training.launch import launch

    folders = [RunFolder(Path(path)) for path in options.run_folders]
    for folder in folders:
        folder.config()  # says so if there is no run, before a lock file is made
    return launch(folders, Console(), max_minutes=options.max_minutes)
