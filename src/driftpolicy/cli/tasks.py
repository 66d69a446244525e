"""``dfp tasks``: list the tasks."""

import argparse

from driftpolicy.tasks.registry import task_names


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("words", nargs="*", help="show only names that contain all of these")


def run(options: argparse.Namespace) -> int:
    """Print the names, one a line."""
    for name in task_names():
        if all(word in name for word in options.words):
            print(name)
    return 0
