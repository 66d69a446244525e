"""All that is said about a suite's results: tables, aggregates, and what a reader must know."""

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

from driftpolicy.progress import format_steps
from driftpolicy.report.published import NOTES, OFFLINE_STEPS, ONLINE_STEPS
from driftpolicy.report.results import Result, read_results
from driftpolicy.report.table import (
    NOT_RUN,
    Aggregates,
    Table,
    aggregate,
    make_tables,
)
from driftpolicy.suites.suite import Suite
from driftpolicy.tasks.task import Task

_LISTED = 12  # incomplete cells named one by one


@dataclasses.dataclass(frozen=True)
class SuiteReport:
    """A suite and what came of it."""

    suite: Suite
    results: tuple[Result, ...]
    tables: tuple[Table, ...]
    """The last phase first."""
    aggregates: Aggregates | None
    """Of the first table."""
    notes: tuple[str, ...]
    """Sentences."""


def make_report(suite: Suite, root: Path) -> SuiteReport:
    """Return what came of the suite's runs under ``root``.

    Raises:
        UserError: as :func:`driftpolicy.report.results.read_results`.
    """
    results = read_results(suite, root)
    tables = make_tables(suite, results)
    aggregates = aggregate(tables[0], results)
    notes = [*_meaning(tables[0]), *_provenance(results), *_missing(results)]
    if any(entry.published for table in tables for entry in table.entries.values()):
        notes += [*_budget(results), *NOTES]
    return SuiteReport(
        suite=suite,
        results=tuple(results),
        tables=tuple(tables),
        aggregates=aggregates,
        notes=tuple(notes),
    )


def _meaning(table: Table) -> Iterable[str]:
    """Yield what the numbers of a table are."""
    yield (
        "Success in percent at the end of the phase: mean ± sample deviation over the seeds. The "
        "best complete cell of a column is bold, the second underlined."
    )
    if len(table.columns) > 1:
        yield "The average is over the tasks; its deviation is that of the seeds' averages."


def _provenance(results: Sequence[Result]) -> Iterable[str]:
    """Yield which data are not the published ones, and which settings not the suite's."""
    collected: dict[str, None] = {}
    unknown: dict[str, None] = {}
    silent = 0
    for result in results:
        data = result.summary.data if result.summary else None
        task = result.cell.task  # nobody publishes data of a user's own environment
        if task.custom is None and data is not None and data.get("origin") != "published":
            (unknown if data.get("origin") == "unknown" else collected)[task.title] = None
        silent += bool(result.evaluations) and data is None
    if collected:
        yield (
            "Trained on data collected on the machine that trained, not on the published set: "
            + ", ".join(collected)
            + "."
        )
    if unknown:
        yield (
            "Trained on data whose file does not say who made them, so perhaps not on the "
            f"published set: {', '.join(unknown)}."
        )
    if silent:
        noun = "run does" if silent == 1 else "runs do"
        yield f"{silent} {noun} not say (in summary.json) which data were used."
    for result in results:
        if result.objection:
            yield f"{result.cell.name} is left out: {result.objection}."


def _missing(results: Sequence[Result]) -> Iterable[str]:
    """Yield what the suite asks for and is not there, cell by cell."""
    cells: dict[tuple[Task, str], list[Result]] = {}
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
            sentences.append(f"{label} on {task.title}: {', '.join(parts)}")
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
    """Yield what makes these runs other than the published ones."""
    configs = [result.cell.config for result in results]
    budgets = dict.fromkeys((config.offline_steps, config.online_steps) for config in configs)
    words = [
        f"{format_steps(offline)} and {format_steps(online)}"
        for offline, online in budgets
        if offline != OFFLINE_STEPS or online not in (0, ONLINE_STEPS)
    ]
    if words:
        yield (
            f"The published runs had {format_steps(OFFLINE_STEPS)} offline and "
            f"{format_steps(ONLINE_STEPS)} online steps, these have {' or '.join(words)}: their "
            "numbers are not to be compared."
        )
