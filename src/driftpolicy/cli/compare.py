"""``dfp compare``: what differs between two runs."""

import argparse

from rich.console import Console
from rich.table import Table
from rich.text import Text


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("first", metavar="RUN", help="a run's folder")
    parser.add_argument("second", metavar="RUN", help="another's")


def run(options: argparse.Namespace) -> int:
    """Print what differs in settings, versions and data, and the results beside each other."""
    from driftpolicy.report.comparison import compare
    from driftpolicy.runs import load_run

    runs = load_run(options.first), load_run(options.second)
    found = compare(*runs)
    console = Console()
    for letter, each in zip("AB", runs, strict=True):
        console.print(Text(f"{letter}: {each.path}"), soft_wrap=True)
    table = Table("", "A", "B", box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.columns[0].no_wrap = True
    parts = {"settings": found.settings, "versions": found.versions, "data": found.data}
    for title, rows in {**parts, "results": found.results}.items():
        table.add_row()
        table.add_row(Text(title, style="bold"), *([] if rows else ["the same", "the same"]))
        for row in rows:
            table.add_row(Text(row.name), Text(row.first), Text(row.second))
    console.print(table)
    console.print()
    for sentence in found.logs:
        console.print(Text(sentence), soft_wrap=True)
    return 0
