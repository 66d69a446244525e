"""The numbers that arXiv 2605.07727 prints, as it prints them.

The files in ``paper/`` hold its tables: percent success, the deviation over 5 seeds.
"""

import csv
import dataclasses
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from driftpolicy.suites.suite import Cell

PAPER = Path(__file__).parent / "paper"
OFFLINE_STEPS = 1_000_000
"""Offline steps of the published runs."""
ONLINE_STEPS = 1_000_000
"""Online steps of the published runs."""
NOTES = (
    "The published offline numbers of square and can for dfp and dfp-bc look exchanged when held "
    "against the paper's own Figure 1; they stand here as its Table 6 prints them.",
    "The authors of MVP report more for it than the paper's re-run: square 93, can 92, "
    "cube-double task4 95, cube-triple 88 / 71 / 52. The authors of Q-chunking report square 92 "
    "and can 94.",
    "The published costs were measured by the authors, online steps on an RTX 3090 and evaluation "
    "on a CPU.",
)
"""What a reader of the published numbers should know."""


@dataclasses.dataclass(frozen=True)
class _Table:
    """A table of success rates, and what runs its rows and columns are of."""

    file: str
    config_phase: str
    """The ``phase`` of the runs' configs."""
    label: str
    """How a row's cells name a method and its variant."""
    columns: Mapping[str, tuple[str, str | None]]
    """By the phase of a run, the columns of its mean and of its deviation."""


_TABLES = (
    _Table(
        file="offline_to_online.csv",
        config_phase="offline-to-online",
        label="{method}",
        columns={
            "offline": ("offline_mean", "offline_std"),
            "online": ("online_mean", "online_std"),
        },
    ),
    _Table(
        file="lambda_ablation.csv",
        config_phase="offline-to-online",
        label="dfp@lambda={lambda}",
        columns={"online": ("mean", "std")},
    ),
    _Table(
        file="offline_rl.csv",
        config_phase="offline-rl",
        label="{method}",
        columns={"offline": ("mean", "std")},
    ),
)
_AVERAGES = (
    _Table(
        file="k_ablation.csv",
        config_phase="offline-to-online",
        label="dfp@K={K}",
        columns={"online": ("average", None)},
    ),
)


class PublishedScore(NamedTuple):
    """A published mean and its deviation, in percent."""

    mean: float
    deviation: float | None
    """None where only the mean is printed."""


def published_score(cell: Cell, phase: str) -> PublishedScore | None:
    """Return the number printed for a run's task, method and variant; None if there is none.

    Args:
        cell: a run of a suite, whose seed, preset and other overrides do not matter.
        phase: ``offline`` or ``online``, at whose end the number is taken.
    """
    return _scores().get((cell.config.phase, cell.task.paper_name, cell.label, phase))


def published_average(label: str, phase: str) -> PublishedScore | None:
    """Return the average over all 12 tasks where the paper prints nothing else: its ablation of K.

    Args:
        label: a method with its variant.
        phase: ``offline`` or ``online``, at whose end the number is taken.
    """
    return _averages().get((label, phase))


def published_cost() -> dict[str, dict[str, float]]:
    """Return by method ``online_step_ms`` on the authors' GPU, ``evaluation_ms`` on their CPU."""
    return {
        row["method"]: {name: float(value) for name, value in row.items() if name != "method"}
        for row in _rows("cost.csv")
    }


@cache
def _scores() -> dict[tuple[str, str | None, str, str], PublishedScore]:
    """Return the printed numbers by config phase, task, label and phase."""
    return {
        (table.config_phase, row["task"], table.label.format_map(row), phase): score
        for table in _TABLES
        for row in _rows(table.file)
        for phase, score in _row_scores(table, row)
    }


@cache
def _averages() -> dict[tuple[str, str], PublishedScore]:
    """Return the printed averages by label and phase."""
    return {
        (table.label.format_map(row), phase): score
        for table in _AVERAGES
        for row in _rows(table.file)
        for phase, score in _row_scores(table, row)
    }


def _row_scores(table: _Table, row: Mapping[str, str]) -> list[tuple[str, PublishedScore]]:
    """Return the numbers of a row, each with its phase."""
    return [
        (phase, PublishedScore(float(row[mean]), float(row[deviation]) if deviation else None))
        for phase, (mean, deviation) in table.columns.items()
    ]


def _rows(file: str) -> list[dict[str, str]]:
    with open(PAPER / file, newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))
