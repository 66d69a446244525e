"""``dfp benchmark``: run a suite, and show what came of it; one file per action."""

import argparse
import importlib

ACTIONS = {
    "run": "run a suite, here or on a cluster; started again, what is missing of it",
    "table": "the table of a suite: terminal, Markdown, LaTeX or CSV",
    "curves": "the curves of a suite: PNG, SVG or PDF",
    "page": "a web page of a suite in one folder: table, curves, rollouts, cost, data",
}
"""In each file ``benchmark_<action>``: ``configure(parser)`` and ``run(options)``."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the actions."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, summary in ACTIONS.items():
        action = actions.add_parser(name, help=summary, description=summary.capitalize())
        module = importlib.import_module(f"driftpolicy.cli.benchmark_{name}")
        module.configure(action)
        action.set_defaults(act=module.run)


def run(options: argparse.Namespace) -> int:
    """Do what the action says."""
    return options.act(options)
