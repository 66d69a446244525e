"""``dfp benchmark table``: the paper's table from a suite's run folders."""

import argparse
from pathlib import Path

from rich.console import Console

from driftpolicy.errors import UserError
from driftpolicy.progress import busy

_FORMATS = {"terminal": None, "markdown": ".md", "latex": ".tex", "csv": ".csv"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_suite(parser)
    parser.add_argument(
        "--format",
        choices=list(_FORMATS),
        help="[by the ending of --out: .md, .tex, .csv; else for the terminal]",
    )
    parser.add_argument("--out", metavar="FILE", help="write it there instead of printing it")
    add_only(parser)


def add_only(parser: argparse.ArgumentParser) -> None:
    """Declare the choice among a suite's runs, which run, table and curves share."""
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="PATTERN",
        help="only runs whose TASK/METHOD/seedN matches one of these, such as '*/dfp/*'; none that "
        "one with a ! before it matches: '!*@*'",
    )


def add_suite(parser: argparse.ArgumentParser) -> None:
    """Declare the suite and where its runs are, which table, curves and page share."""
    parser.add_argument(
        "suites",
        nargs="+",
        metavar="SUITE",
        help="a suite's name, or the path of a .toml; several, with one folder of runs, as one",
    )
    parser.add_argument("--runs", metavar="FOLDER", help="the suite's runs [runs/SUITE]")


def runs_folder(options: argparse.Namespace, name: str) -> Path:
    """Return the folder with the runs of the suite ``name``."""
    return Path(options.runs).expanduser() if options.runs else Path("runs") / name


def run(options: argparse.Namespace) -> int:
    """Print the table, or write it."""
    from driftpolicy.data.files import write_atomically
    from driftpolicy.report import render, terminal
    from driftpolicy.report.suite_report import make_report
    from driftpolicy.suites.suite import join_suites

    suite = join_suites(options.suites).only(options.only)
    out = Path(options.out).expanduser() if options.out else None
    chosen = options.format or "terminal"
    if out and not options.format:
        endings = {ending: name for name, ending in _FORMATS.items() if ending}
        if out.suffix not in endings:
            raise UserError(
                f"--out {out}: the ending must be {', '.join(endings)}, or name --format"
            )
        chosen = endings[out.suffix]
    if out and chosen == "terminal":
        raise UserError("--out needs --format markdown, latex or csv")
    with busy("reading the runs"):
        report = make_report(suite, runs_folder(options, suite.name))
    console = Console(highlight=False)
    if chosen == "terminal":
        terminal.show(report, console)
        return 0
    text = render.FORMATS[chosen](report)
    if out is None:
        print(text, end="")
    else:
        write_atomically(out, lambda file: file.write(text.encode()), what="table")
        print(out)
    return 0
