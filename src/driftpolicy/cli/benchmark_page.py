"""``dfp benchmark page``: the web page of a suite."""

import argparse
from pathlib import Path

from driftpolicy.cli.benchmark_table import add_suite, runs_folder
from driftpolicy.progress import busy


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_suite(parser)
    parser.add_argument("--out", metavar="FOLDER", help="[page in the folder of the runs]")
    parser.add_argument(
        "--cost",
        metavar="FILE",
        help="what each method costs, as benchmarks/cost.py writes it (.csv)",
    )


def run(options: argparse.Namespace) -> int:
    """Write the page and print where it is."""
    from driftpolicy.report.page import write_page
    from driftpolicy.suites.suite import join_suites

    suite = join_suites(options.suites)
    root = runs_folder(options, suite.name)
    out = Path(options.out).expanduser() if options.out else root / "page"
    cost = Path(options.cost).expanduser() if options.cost else None
    with busy("writing the page"):
        page = write_page(suite, root, out, arguments=options.suites, cost=cost)
    print(page)
    return 0
