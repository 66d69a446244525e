"""``dfp watch``: follow a run to its end, from its folder alone."""

import argparse

from rich.console import Console


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("run_folder", metavar="RUN", help="a run's folder")


def run(options: argparse.Namespace) -> int:
    """Follow the run until it ends or Ctrl-C, which ends the watching and not the run."""
    from driftpolicy.report.watching import watch
    from driftpolicy.runs import load_run

    followed = load_run(options.run_folder)
    try:
        watch(followed, Console(highlight=False))
    except KeyboardInterrupt:
        print(f"No longer watching {followed.path}; the run itself goes on")
    return 0
