"""``dfp runs``: the runs of a folder and how they are doing."""

import argparse
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from driftpolicy.progress import format_count, format_seconds

if TYPE_CHECKING:
    from driftpolicy.report.status import Status

_HEADER = ["state", "step", "success", "steps/s", "left"]
STYLES = {"running": "cyan", "finished": "green", "damaged": "red", "stopped": "yellow"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "folder", nargs="?", default="runs", metavar="FOLDER", help="where they are [runs]"
    )


def run(options: argparse.Namespace) -> int:
    """Print a table of the runs, a part for each task; return 1 if one is damaged."""
    from driftpolicy.report.status import find_run_folders, statuses

    root = Path(options.folder)
    found = list(statuses(find_run_folders(root)))
    console = Console(highlight=False)
    _print(found, root, console)
    states = Counter(one.state for one in found)
    words = [f"{count} {state}" for state, count in states.items()]
    console.print(f"{len(found)} run{'s' * (len(found) > 1)}: {', '.join(words)}", soft_wrap=True)
    for one in found:
        if one.problem:
            console.print(Text(one.problem, style="red"), soft_wrap=True)
    return 1 if states["damaged"] else 0


def _print(found: "list[Status]", root: Path, console: Console) -> None:
    """Print a table whose rows stand below the name of their task, as wide as that may be."""
    places = [one.run.path.relative_to(root) for one in found]
    tasks = [place.parent.parent for place in places]
    names = [
        f"  {place.relative_to(task)}" if task.name else str(place if place.name else root)
        for place, task in zip(places, tasks, strict=True)
    ]
    rows = [_cells(one) for one in found]
    widths = [max(map(len, column)) for column in zip(_HEADER, *rows, strict=True)]
    wide = max(console.width - sum(widths) - 2 * len(widths), 20)
    wide = min(max(map(len, ["run", *names])), wide)
    _row("run", _HEADER, wide, widths, "dim", console)
    for number, (one, row) in enumerate(zip(found, rows, strict=True)):
        if tasks[number].name and tasks[number] not in tasks[:number]:
            console.print(Text(str(tasks[number]), style="bold"), soft_wrap=True)
        _row(names[number], row, wide, widths, STYLES.get(one.state, ""), console)


def _row(
    name: str, cells: list[str], wide: int, widths: list[int], style: str, console: Console
) -> None:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(width=wide, overflow="fold")
    for number, width in enumerate(widths):
        table.add_column(width=width, justify="right" if number else "left", no_wrap=True)
    table.add_row(Text(name), Text(cells[0], style=style), *map(Text, cells[1:]))
    console.print(table)


def _cells(one: "Status") -> list[str]:
    total = f"/{format_count(one.config.total_steps)}" if one.config else ""
    return [
        one.state,
        f"{format_count(one.step)}{total}",
        "" if one.success is None else f"{100 * one.success:.0f}%",
        "" if one.rate is None else f"{one.rate:.3g}",
        "" if one.left is None else format_seconds(one.left),
    ]
