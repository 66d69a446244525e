"""All that is said about a suite's results: tables, aggregates, and what a reader must know."""

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

from driftpolicy.benchmark.published import NOTES, STEPS, task_title
from driftpolicy.benchmark.results import Result, read_results
from driftpolicy.benchmark.suite import Cell, Suite, find_suite
from driftpolicy.benchmark.table import (
    NOT_RUN,
    Aggregates,
    Table,
    aggregate,
    format_steps,
    make_tables,
)
from driftpolicy.errors import UserError
from driftpolicy.tasks.registry import find_task

_LISTED = 12  # incomplete cells named one by one


@dataclasses.dataclass(frozen=True)
class Report:
    """A suite and what came of it."""

    suite: Suite
    results: tuple[Result, ...]
    tables: tuple[Table, ...]
    """The last phase first."""
    aggregates: Aggregates | None
    """Of the first table."""
    notes: tuple[str, ...]
    """Sentences."""


def make_report(suite: Suite, root: Path) -> Report:
    """Read the suite's runs under ``root``.

    Raises:
        UserError: as :func:`driftpolicy.benchmark.results.read_results`.
    """
    results = read_results(suite, root)
    tables = make_tables(suite, results)
    aggregates = aggregate(tables[0], results)
    notes = [*_meaning(tables[0]), *_provenance(results), *_missing(results)]
    if any(entry.published for table in tables for entry in table.entries.values()):
        notes += [*_budget(results), *NOTES]
    return Report(suite, tuple(results), tuple(tables), aggregates, tuple(notes))


def join_suites(names: Sequence[str]) -> Suite:
    """Several suites as one, under the first's name; a run that two of them have is there once.

    Raises:
        UserError: as :func:`driftpolicy.benchmark.suite.find_suite`, or if the same run is to be
            made with different settings.
    """
    suites = [find_suite(name) for name in names]
    if len(suites) == 1:
        return suites[0]
    known: dict[str, Cell] = {}
    for cell in (cell for suite in suites for cell in suite.cells()):
        if known.setdefault(cell.name, cell).config() != cell.config():
            raise UserError(f"the suites {', '.join(names)} disagree about {cell.name}")
    blocks = dict.fromkeys(block for suite in suites for block in suite.blocks)
    title = "; ".join(suite.title for suite in suites)
    return Suite(suites[0].name, title, tuple(blocks))


def _meaning(table: Table) -> Iterable[str]:
    yield (
        "Success in percent at the end of the phase: mean ± sample deviation over the seeds. The "
        "best complete cell of a column is bold, the second underlined."
    )
    if len(table.columns) > 1:
        yield "The average is over the tasks; its deviation is that of the seeds' averages."


def _provenance(results: Sequence[Result]) -> Iterable[str]:
    """Data that are not the published ones, and settings that are not the suite's."""
    collected: dict[str, None] = {}
    silent = 0
    for result in results:
        data = result.summary.get("data")
        own = find_task(result.cell.task).custom  # whose data nobody publishes
        if own is None and isinstance(data, dict) and data.get("origin") != "published":
            collected[task_title(result.cell.task)] = None
        silent += bool(result.evaluations) and not isinstance(data, dict)
    if collected:
        yield (
            "Trained on data collected on the machine that trained, not on the published set: "
            + ", ".join(collected)
            + "."
        )
    if silent:
        noun = "run does" if silent == 1 else "runs do"
        yield f"{silent} {noun} not say (in summary.json) which data were used."
    for result in results:
        if result.objection:
            yield f"{result.cell.name} is left out: {result.objection}."


def _missing(results: Sequence[Result]) -> Iterable[str]:
    """What the suite asks for and is not there, cell by cell."""
    cells: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        cells.setdefault((result.cell.task, result.cell.label), []).append(result)
    sentences = []
    for (task, label), runs in cells.items():
        parts = [
            f"seed {run.cell.seed} "
            + (
                f"at {format_steps(run.steps)} of {format_steps(run.total)} steps"
                if run.steps
                else NOT_RUN
            )
            for run in runs
            if not run.finished
        ]
        if len(parts) == len(runs) and not any(run.steps for run in runs):
            parts = [NOT_RUN]
        if parts:
            sentences.append(f"{label} on {task_title(task)}: {', '.join(parts)}")
    if sentences:
        left = sum(not run.finished for run in results)
        more = len(sentences) - _LISTED
        tail = f"; and {more} more" if more > 0 else ""
        yield (
            f"{left} of {len(results)} runs are missing or unfinished. "
            + "; ".join(sentences[:_LISTED])
            + tail
            + "."
        )


def _budget(results: Sequence[Result]) -> Iterable[str]:
    """What makes these runs other than the published ones."""
    budgets = {(r.config.offline_steps, r.config.online_steps): None for r in results}
    budgets = {b: None for b in budgets if b != STEPS and not (b[1] == 0 and b[0] == STEPS[0])}
    if budgets:
        words = " or ".join(
            f"{format_steps(offline)} and {format_steps(online)}" for offline, online in budgets
        )
        yield (
            f"The published runs had {format_steps(STEPS[0])} offline and {format_steps(STEPS[1])} "
            f"online steps, these have {words}: their numbers are not to be compared."
        )
