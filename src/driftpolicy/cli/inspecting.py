"""``dfp data inspect``: what is in a data file, as a table."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from driftpolicy.errors import UserError
from driftpolicy.progress import busy
from driftpolicy.tasks.benchmark import Checks, Section
from driftpolicy.tasks.custom.tasks import custom_task
from driftpolicy.tasks.registry import benchmark_of, benchmark_of_data, find_task


def inspect(options: argparse.Namespace) -> int:
    """Print a table of what is in a file; return 1 if it says that training is refused."""
    task = find_task(options.task) if options.task else None
    benchmark = benchmark_of_data(Path(options.file).expanduser())
    if task and (options.env or benchmark_of(task) is not benchmark):
        raise UserError(f"{task.name} has data of its benchmark; --env takes data of your own")
    if options.env:
        task = custom_task(options.env)
        benchmark = benchmark_of(task)
    with busy("reading"):
        sections = benchmark.inspect(
            options.file, task, columns=tuple(options.columns), skip_broken=options.skip_broken
        )
    _print(sections)
    refused = any(isinstance(section, Checks) and section.refused for section in sections)
    return 1 if refused else 0


def _print(sections: Sequence[Section]) -> None:
    """Print the sections below each other, an empty line between two of them."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for number, section in enumerate(sections):
        if number:
            table.add_row()
        for name, value in section.items():
            table.add_row(name, value)
    Console(markup=False, highlight=False).print(table)
