"""``dfp hub``: publish trained policies on the Hugging Face Hub."""

import argparse
from pathlib import Path

from driftpolicy.progress import busy


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of each subcommand."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    summary = "publish a run's newest policy, with its settings, logs and a card"
    pushing = actions.add_parser("push", help=summary, description=summary.capitalize())
    pushing.add_argument("run_folder", metavar="RUN", help="the run's folder")
    add_name(pushing)


def add_name(parser: argparse.ArgumentParser) -> None:
    """Declare what publishing policies and data share."""
    parser.add_argument("name", metavar="NAME", help="the repository, owner/name")
    parser.add_argument(
        "--private", action="store_true", help="if it is new, let nobody else see it"
    )


def run(options: argparse.Namespace) -> int:
    """Publish, and print how to load it."""
    from driftpolicy.hub.policies import push_run

    with busy(f"publishing {options.name}"):
        commit = push_run(Path(options.run_folder), options.name, private=options.private)
    print(f'published; load it with driftpolicy.load_policy("hf://{options.name}@{commit}")')
    return 0
