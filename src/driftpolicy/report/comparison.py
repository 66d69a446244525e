"""What differs between two runs: settings, versions, data, results."""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from driftpolicy.progress import format_seconds
from driftpolicy.runs import PHASES, Evaluation, Run, Summary, Training
from driftpolicy.training.evaluation import success_interval

NOT_RECORDED = "not recorded"


@dataclasses.dataclass(frozen=True)
class Row:
    """Something that two runs have, in words."""

    name: str
    first: str
    second: str


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Two runs beside each other: what differs in how they were made, and all that came of them."""

    settings: tuple[Row, ...]
    """By the names of the configs' fields."""
    versions: tuple[Row, ...]
    """Of the packages with which the runs were finished."""
    data: tuple[Row, ...]
    """Of what the runs say of their prior data."""
    results: tuple[Row, ...]
    """The last evaluation of each phase and the time, whether they differ or not."""
    logs: tuple[str, ...]
    """For each log a sentence on where the runs part."""


def compare(first: Run, second: Run) -> Comparison:
    """Return what differs between two runs.

    Raises:
        UserError: if a file of theirs is damaged, naming it.
    """
    summaries = first.summary, second.summary
    return Comparison(
        settings=_differences(_settings(first), _settings(second)),
        versions=_differences(*map(_versions, summaries)),
        data=_differences(*(summary and summary.data for summary in summaries)),
        results=tuple(_results(first, second)),
        logs=(
            _evaluations_part(first.evaluations, second.evaluations),
            _training_parts(first.training, second.training),
        ),
    )


def _versions(summary: Summary | None) -> Mapping[str, Any] | None:
    """Return what a summary says of versions: of the package alone, if an earlier one wrote it."""
    if summary is None or (summary.versions is None and summary.version is None):
        return None
    return summary.versions or {"driftpolicy": summary.version}


def _settings(run: Run) -> dict[str, Any] | None:
    if not run.has_config:
        return None
    values = dataclasses.asdict(run.config)
    return values | values.pop("agent")


def _differences(
    first: Mapping[str, Any] | None, second: Mapping[str, Any] | None
) -> tuple[Row, ...]:
    """Return the values that differ, by name; None stands for values that were not recorded."""
    if first is None or second is None:
        words = [NOT_RECORDED if one is None else "recorded" for one in (first, second)]
        return (Row("all", *words),)
    missing = object()
    return tuple(
        Row(name, *("none" if one is missing else _text(one) for one in values))
        for name in {**first, **second}
        if not _same(*(values := (first.get(name, missing), second.get(name, missing))))
    )


def _same(first: Any, second: Any) -> bool:
    return first == second or (first != first and second != second)


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(one)}" for name, one in value.items())
    if isinstance(value, list | tuple):
        return " ".join(map(_text, value)) or "none"
    return "none" if value is None else str(value)


def _results(first: Run, second: Run) -> Iterator[Row]:
    runs = first, second
    yield Row("state", *("finished" if run.finished else "not finished" for run in runs))
    for phase in PHASES:
        last = [_last(run, phase) for run in runs]
        if any(last):
            yield Row(f"{phase}, step", *(_of(one, lambda e: f"{e.step:,}") for one in last))
            yield Row("  success", *(_of(one, _success) for one in last))
            yield Row("  return", *(_of(one, lambda e: f"{e.return_:.4g}") for one in last))
            yield Row("  length", *(_of(one, lambda e: f"{e.length:.4g}") for one in last))
    ends = [run.evaluations[-1:] for run in runs]
    yield Row("time", *(format_seconds(end[0].wall_s) if end else "-" for end in ends))


def _last(run: Run, phase: str) -> Evaluation | None:
    return next((e for e in reversed(run.evaluations) if e.phase == phase), None)


def _of(evaluation: Evaluation | None, words: Any) -> str:
    return "-" if evaluation is None else words(evaluation)


def _success(evaluation: Evaluation) -> str:
    low, high = success_interval(
        round(evaluation.success * evaluation.episodes), evaluation.episodes
    )
    return (
        f"{evaluation.percent:.1f}% [{100 * low:.0f}, {100 * high:.0f}] "
        f"of {evaluation.episodes} episodes"
    )


def _evaluations_part(first: tuple[Evaluation, ...], second: tuple[Evaluation, ...]) -> str:
    """Say where the evaluations of two runs part; the time that they took does not count."""
    for one, other in zip(first, second, strict=False):
        pairs = zip(one.row().items(), other.row().values(), strict=True)
        for (name, ours), theirs in pairs:
            if name != "wall_s" and not _same(ours, theirs):
                return f"eval.csv parts at step {one.step:,}: {name} {ours}, {theirs}"
    return _ends("eval.csv", [e.step for e in first], [e.step for e in second])


def _training_parts(first: Training, second: Training) -> str:
    """Say where the training of two runs parts, to the last bit."""
    steps = first.steps.tolist(), second.steps.tolist()
    rows = min(map(len, steps))
    if list(first.metrics) != list(second.metrics):
        return "train.csv has other columns"
    alike = np.ones(rows, bool)
    for name, values in first.metrics.items():
        pair = values[:rows], second.metrics[name][:rows]
        alike &= (pair[0] == pair[1]) | (np.isnan(pair[0]) & np.isnan(pair[1]))
    for row in range(rows):
        if not alike[row] or steps[0][row] != steps[1][row]:
            for name, values in first.metrics.items():
                ours, theirs = float(values[row]), float(second.metrics[name][row])
                if not _same(ours, theirs):
                    return f"train.csv parts at step {steps[0][row]:,}: {name} {ours}, {theirs}"
            return f"train.csv parts at step {steps[0][row]:,}, in the step"
    return _ends("train.csv", *steps)


def _ends(file: str, first: list[int], second: list[int]) -> str:
    if not first and not second:
        return f"{file} is empty in both"
    if len(first) == len(second):
        return f"{file} is the same, to step {first[-1]:,}"
    ends = [f"{steps[-1]:,}" if steps else "none" for steps in (first, second)]
    shared = min(first[-1:] + second[-1:], default=math.nan)
    return f"{file} is the same as far as both go ({shared:,}); last steps {', '.join(ends)}"
