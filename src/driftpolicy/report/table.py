"""The paper's table from a suite's results: what stands in each cell, and what is missing in it."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from driftpolicy.progress import format_steps
from driftpolicy.report import statistics
from driftpolicy.report.published import PublishedScore, published_average, published_score
from driftpolicy.report.results import Result
from driftpolicy.runs import PHASES
from driftpolicy.suites.suite import Suite
from driftpolicy.tasks.task import Task

AVERAGE = "average"
"""The column after the tasks."""
NOT_RUN = "not run"
REFERENCES = ("dfp",)
"""The methods that all others are compared with, the first that there is; else the best one is."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """One method on one task, or on average, at the end of a phase; in percent."""

    mean: float | None
    """None where there is nothing."""
    deviation: float
    """Over the seeds; NaN for one seed."""
    scores: Mapping[int, float]
    """By seed."""
    seeds: int
    """How many seeds the suite asks for."""
    steps: int
    """At which the scores were measured, at least."""
    goal: int
    """At which the suite wants them measured."""
    published: PublishedScore | None
    missing: str
    """What the suite asks for and is not there, in words; empty where nothing is missing."""
    rank: int = 0
    """1 for the best of a column, 2 for the next, among entries in which nothing is missing."""

    @property
    def difference(self) -> float | None:
        """Return our mean minus the published one."""
        if self.mean is None or self.published is None:
            return None
        return self.mean - self.published.mean


@dataclasses.dataclass(frozen=True)
class Table:
    """Methods as rows, tasks as columns, at the end of a phase."""

    phase: str
    tasks: tuple[Task, ...]
    labels: tuple[str, ...]
    entries: Mapping[tuple[str, str], Entry]
    """By (label, column); what the suite does not ask for is not there."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the tasks' names, and the average where there are several."""
        names = tuple(task.name for task in self.tasks)
        return (*names, AVERAGE) if len(names) > 1 else names

    @property
    def headings(self) -> Mapping[str, tuple[str, str]]:
        """Return each column's heading, in two lines."""
        return {AVERAGE: (AVERAGE, "")} | {task.name: task.heading for task in self.tasks}


@dataclasses.dataclass(frozen=True)
class Aggregate:
    """A method over all tasks at once; intervals of 95%, NaN where a task has only one seed."""

    label: str
    interquartile_mean: float
    interval: tuple[float, float]
    improvement: float
    """Probability that the reference does better; NaN for the reference itself."""
    improvement_interval: tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Aggregates:
    """What stands beneath a table."""

    phase: str
    tasks: tuple[Task, ...]
    """Over which: those on which every method has a finished seed."""
    reference: str
    """The label whose improvement over the others is asked for."""
    rows: tuple[Aggregate, ...]


def make_tables(suite: Suite, results: Sequence[Result]) -> list[Table]:
    """Return a table for each phase that the suite has, the last phase first."""
    tables = []
    for phase in reversed(PHASES):
        asked = [result for result in results if result.phases[phase].goal]
        if asked:
            tables.append(_table(suite, asked, phase))
    return tables


def _table(suite: Suite, results: Sequence[Result], phase: str) -> Table:
    runs: dict[tuple[str, Task], list[Result]] = {}
    for result in results:
        runs.setdefault((result.cell.label, result.cell.task), []).append(result)
    labels = tuple(label for label in suite.labels if any(label == one for one, _ in runs))
    tasks = tuple(task for task in suite.tasks if any(task == one for _, one in runs))
    entries: dict[tuple[str, str], Entry] = {}
    for label in labels:
        made = [task for task in tasks if (label, task) in runs]
        entries |= {(label, task.name): _entry(runs[label, task], phase) for task in made}
        parts = [entries[label, task.name] for task in made]
        entries[label, AVERAGE] = _average(parts, len(tasks), published_average(label, phase))
    return Table(phase, tasks, labels, _ranked(entries))


def _entry(runs: Sequence[Result], phase: str) -> Entry:
    """Return the entry of the runs at the phase's end; only where there is none, on their way."""
    ended = [run for run in runs if run.phases[phase].ended]
    lasts = {run.cell.seed: last for run in ended or runs if (last := run.phases[phase].last)}
    scores = {seed: last.percent for seed, last in lasts.items()}
    steps = min((last.step for last in lasts.values()), default=0)
    goal = runs[0].phases[phase].goal
    missing = []
    if not ended and not scores:
        begun = max(run.steps for run in runs)
        missing.append(f"at {format_steps(begun)} steps" if begun else NOT_RUN)
    elif not ended:
        missing.append(f"{format_steps(steps)} of {format_steps(goal)} steps")
    if scores and len(scores) < len(runs):
        missing.append(f"{len(scores)} of {len(runs)} seeds")
    mean, deviation = _mean_deviation(scores)
    return Entry(
        mean=mean,
        deviation=deviation,
        scores=scores,
        seeds=len(runs),
        steps=steps,
        goal=goal,
        published=published_score(runs[0].cell, phase),
        missing=", ".join(missing),
    )


def _average(parts: Sequence[Entry], tasks: int, printed: PublishedScore | None) -> Entry:
    """Return the average over tasks, with the deviation of the seeds' averages.

    There is none unless all tasks count.
    """
    whole = len(parts) == tasks
    known = [part.published.mean for part in parts if part.published]
    if printed is None and whole and len(known) == tasks:
        printed = PublishedScore(float(np.mean(known)), None)
    means = [part.mean for part in parts if part.mean is not None]
    seeds = set.intersection(*(set(part.scores) for part in parts)) if parts else set()
    scores = {s: float(np.mean([part.scores[s] for part in parts])) for s in sorted(seeds)}
    complete = whole and len(means) == tasks
    missing = "" if complete else f"{len(means)} of {tasks} tasks"
    if complete and any(part.missing for part in parts):
        missing = "incomplete"
    _, deviation = _mean_deviation(scores)
    return Entry(
        mean=float(np.mean(means)) if complete else None,
        deviation=deviation,
        scores=scores if complete else {},
        seeds=max(part.seeds for part in parts),
        steps=min(part.steps for part in parts),
        goal=max(part.goal for part in parts),
        published=printed,
        missing=missing,
    )


def _mean_deviation(scores: Mapping[int, float]) -> tuple[float | None, float]:
    if not scores:
        return None, math.nan
    return statistics.mean_deviation(np.array(list(scores.values())))


def _ranked(entries: dict[tuple[str, str], Entry]) -> dict[tuple[str, str], Entry]:
    """Return the entries with the best and the second of each column marked.

    What is equal as printed is equal in rank; where all are equal, none is marked.
    """
    ranked = {}
    for (label, column), entry in entries.items():
        others = [e for (_, c), e in entries.items() if c == column and not e.missing]
        values = sorted({round(e.mean, 1) for e in others if e.mean is not None}, reverse=True)
        rank = 0
        if entry.mean is not None and not entry.missing and len(values) > 1:
            place = values.index(round(entry.mean, 1))
            rank = place + 1 if place < 2 else 0
        ranked[label, column] = dataclasses.replace(entry, rank=rank)
    return ranked


def aggregate(table: Table, results: Sequence[Result]) -> Aggregates | None:
    """Return interquartile means and probabilities of improvement over the tasks all methods share.

    Methods without a finished run are left out; None if the others share no task, or if there is
    but one cell.
    """
    scores: dict[str, dict[Task, np.ndarray]] = {}
    for result in results:
        phase = result.phases[table.phase]
        if phase.last is not None and phase.ended:
            by_task = scores.setdefault(result.cell.label, {})
            task = result.cell.task
            by_task[task] = np.append(by_task.get(task, np.empty(0)), phase.last.percent)
    tasks = tuple(t for t in table.tasks if scores and all(t in each for each in scores.values()))
    if len(tasks) * len(scores) < 2:
        return None
    pooled = {label: [scores[label][t] for t in tasks] for label in table.labels if label in scores}
    middle = {label: statistics.interquartile_mean(each) for label, each in pooled.items()}
    reference = next((label for label in REFERENCES if label in pooled), None)
    reference = reference or max(middle, key=lambda label: middle[label])
    unknown = (math.nan, math.nan)
    rows = []
    for label, each in pooled.items():
        several = all(len(task) > 1 for task in each)
        against = label != reference
        both = several and all(len(task) > 1 for task in pooled[reference])
        improvement, improvement_interval = math.nan, unknown
        if against:
            improvement = statistics.probability_of_improvement(pooled[reference], each)
        if against and both:
            improvement_interval = statistics.improvement_interval(pooled[reference], each)
        rows.append(
            Aggregate(
                label=label,
                interquartile_mean=middle[label],
                interval=statistics.interquartile_interval(each) if several else unknown,
                improvement=improvement,
                improvement_interval=improvement_interval,
            )
        )
    return Aggregates(table.phase, tasks, reference, tuple(rows))
