"""Run folders with known numbers, written as runs write them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from driftpolicy.runs.tables import EVAL_COLUMNS
from driftpolicy.suites.suite import Cell, Suite, find_suite

CUBE, LIFT = "cube-double-play-singletask-task2-v0", "lift-mh-low_dim"
SUITE = f"""
title = "Two tasks"
tasks = ["{CUBE}", "{LIFT}"]
methods = ["qc-fql", "dfp"]
seeds = [0, 1, 2]
"""


def write_run(
    root: Path,
    cell: Cell,
    offline: Sequence[float],
    online: Sequence[float] = (),
    *,
    config: bool = True,
    summary: Mapping | None = None,
) -> Path:
    """A run evaluated every tenth of a phase, with these success rates in percent so far."""
    folder = cell.folder(root)
    folder.path.mkdir(parents=True, exist_ok=True)
    asked = cell.config
    rows = [",".join(EVAL_COLUMNS)]
    for phase, values, start, steps in (
        ("offline", offline, 0, asked.offline_steps),
        ("online", online, asked.offline_steps, asked.online_steps),
    ):
        for i, value in enumerate(values, start=1):
            step = start + i * steps // 10
            rows.append(f"{step},{phase},{value / 100},-100.0,200.0,50,{step / 100}")
    folder.eval_csv.write_text("\r\n".join(rows) + "\r\n")
    if config:
        folder.config_file.write_text(asked.to_json())
    if summary is not None:
        folder.summary.write_text(json.dumps(summary))
    return folder.path


def to(end: float, start: float = 0.0) -> list[float]:
    """Ten success rates from ``start`` on to ``end``."""
    return [start + (end - start) * i / 10 for i in range(1, 11)]


@pytest.fixture
def suite(tmp_path) -> Suite:
    path = tmp_path / "two.toml"
    path.write_text(SUITE)
    return find_suite(path)


@pytest.fixture
def runs(tmp_path, suite) -> Path:
    """dfp complete on both tasks; qc-fql complete on the cube, on lift two seeds and half a third.

    ========  ==================  ==================
    online    cube-double task2   lift
    ========  ==================  ==================
    qc-fql    90, 94, 98          50, 60 and 40 at 1.5M
    dfp       98, 100, 99         70, 80, 90
    ========  ==================  ==================
    """
    root = tmp_path / "runs"
    ends = {
        ("qc-fql", CUBE): (90, 94, 98),
        ("dfp", CUBE): (98, 100, 99),
        ("qc-fql", LIFT): (50, 60, 40),
        ("dfp", LIFT): (70, 80, 90),
    }
    for cell in suite.cells:
        end = ends[cell.method, cell.task.name][cell.seed]
        online = to(end, 30)
        summary = {"version": "0.1.0", "data": {"origin": "published", "crc32": "0badcafe"}}
        if (cell.method, cell.task.name, cell.seed) == ("qc-fql", LIFT, 2):
            online, summary = [*online[:4], 40.0], None
        write_run(root, cell, to(30 + cell.seed), online, summary=summary)
    return root
