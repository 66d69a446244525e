"""``dfp benchmark curves``: the curves of a suite."""

import argparse
from pathlib import Path

from driftpolicy.cli.benchmark_table import add_only, add_suite, runs_folder
from driftpolicy.progress import busy


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_suite(parser)
    parser.add_argument(
        "--out",
        metavar="FILE",
        nargs="+",
        help="ending in .png, .svg or .pdf, or several [curves.* in the folder of the runs]",
    )
    add_only(parser)


def run(options: argparse.Namespace) -> int:
    """Draw the curves and print where they are."""
    from driftpolicy.report.curves import FORMATS, draw, make_panels
    from driftpolicy.report.style import styles
    from driftpolicy.report.suite_report import make_report
    from driftpolicy.suites.suite import join_suites

    suite = join_suites(options.suites).only(options.only)
    root = runs_folder(options, suite.name)
    outs = [Path(out).expanduser() for out in options.out or ()]
    outs = outs or [root / f"curves.{name}" for name in FORMATS]
    with busy("drawing"):
        draw(make_panels(make_report(suite, root)), styles(suite.labels), outs)
    for out in outs:
        print(out)
    return 0
