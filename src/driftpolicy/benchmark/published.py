"""The numbers that arXiv 2605.07727 prints, as it prints them, and the names under which it does.

The files in ``paper/`` hold its tables: percent success, the deviation over 5 seeds.
"""

import csv
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from driftpolicy.benchmark.suite import Cell
from driftpolicy.errors import UserError
from driftpolicy.tasks.registry import find_task

PAPER = Path(__file__).parent / "paper"
STEPS = (1_000_000, 1_000_000)
"""Offline and online steps of the published runs."""
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


class Published(NamedTuple):
    """A published mean and its deviation, in percent."""

    mean: float
    deviation: float | None
    """None where only the mean is printed."""


def task_words(name: str) -> tuple[str, str]:
    """A task's name for a heading of two lines: ``("cube-double", "task2")``, ``("lift", "mh")``.

    The second is empty for some environments of the user's own.

    Raises:
        UserError: for an unknown task.
    """
    task = find_task(name)
    if task.benchmark == "ogbench":
        number = name.split("-")[-2]
        kind = {"play": "", "play-100m": "100m "}.get(task.kind, f"{task.kind} ")
        return task.family, kind + number
    if task.benchmark == "robomimic":
        return task.family, task.kind
    if task.benchmark == "gymnasium":
        return task.heading
    raise UserError(f"no titles for the benchmark {task.benchmark!r}")


def task_title(name: str) -> str:
    """The same in one line: ``cube-double task2``."""
    return " ".join(filter(None, task_words(name)))


def paper_name(name: str) -> str | None:
    """The paper's name of a task, such as ``cube-quadruple-100m-task2``; None if it has none."""
    task = find_task(name)
    if task.benchmark == "robomimic" and task.kind == "mh":
        return task.family
    if task.benchmark == "ogbench" and task.kind.startswith("play"):
        return task_title(name).replace(" ", "-")
    return None


def published(cell: Cell, phase: str) -> Published | None:
    """The number printed for a run's task, method and variant; None if there is none.

    Args:
        cell: of a suite; its seed, preset and other overrides are not looked at.
        phase: ``offline`` or ``online``, at the end of which.
    """
    name = paper_name(cell.task)
    if cell.overrides.get("phase") == "offline-rl":
        table = _rows("offline_rl.csv", "task", "method")
        return _entry(table.get((name, cell.label)), "") if phase == "offline" else None
    kind, _, value = cell.variant.partition("=")
    if kind == "lambda" and cell.method == "dfp" and phase == "online":
        table = _rows("lambda_ablation.csv", "task", "lambda")
        return _entry(table.get((name, value)), "")
    table = _rows("offline_to_online.csv", "task", "method")
    return _entry(table.get((name, cell.label)), f"{phase}_")


def published_average(label: str, phase: str) -> Published | None:
    """The average over all 12 tasks where the paper prints nothing else: its ablation of K."""
    method, _, variant = label.partition("@")
    if method != "dfp" or not variant.startswith("K=") or phase != "online":
        return None
    row = _rows("k_ablation.csv", "K").get((variant.removeprefix("K="),))
    return Published(float(row["average"]), None) if row else None


def published_cost() -> dict[str, dict[str, float]]:
    """By method: ``online_step_ms`` on the authors' RTX 3090, ``evaluation_ms`` on their CPU."""
    return {
        row["method"]: {name: float(value) for name, value in row.items() if name != "method"}
        for row in _rows("cost.csv", "method").values()
    }


def _entry(row: Mapping[str, str] | None, prefix: str) -> Published | None:
    return Published(float(row[f"{prefix}mean"]), float(row[f"{prefix}std"])) if row else None


@cache
def _rows(name: str, *keys: str) -> dict[tuple[str | None, ...], dict[str, str]]:
    """A table's rows by the values of its key columns."""
    with open(PAPER / name, newline="", encoding="utf-8") as file:
        return {tuple(row[key] for key in keys): row for row in csv.DictReader(file)}
