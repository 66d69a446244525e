"""``dfp benchmark run``: the runs of a suite."""

import argparse

from driftpolicy.cli.train import add_max_minutes


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("suite", metavar="SUITE", help="a suite's name, or the path of a .toml")
    add_max_minutes(parser)


def run(options: argparse.Namespace) -> int:
    """Run what is missing."""
    raise NotImplementedError
