"""How runs are doing: state, step, success, pace and time left, from their folders alone."""

import dataclasses
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from driftpolicy.config import TrainConfig
from driftpolicy.errors import UserError
from driftpolicy.runs import PHASES, Run
from driftpolicy.suites.watch import Pace, look_at

State = Literal["running", "stopped", "finished", "evidence", "damaged"]


@dataclasses.dataclass(frozen=True)
class Status:
    """How a run is doing."""

    run: Run
    state: State
    """``evidence`` holds no config: it can be read, and never goes on."""
    step: int = 0
    """The last step logged, evaluated or saved."""
    success: float | None = None
    """The success rate of the last evaluation, from 0 to 1."""
    config: TrainConfig | None = None
    """What decides the run; None where the folder does not say."""
    rate: float | None = None
    """Steps per second of a running run; None where it is not known yet."""
    left: float | None = None
    """Seconds to the end, running on; None where nothing says so, or nothing is left."""
    problem: str = ""
    """What is wrong with a damaged run."""

    @property
    def label(self) -> str:
        """Return the name of the method, of which runs are alike in their pace."""
        return self.config.method if self.config else ""

    @property
    def phase(self) -> str:
        """Return the phase that the run is in."""
        offline = self.config is not None and self.step < self.config.offline_steps
        return PHASES[0] if offline else PHASES[1]


def find_run_folders(folder: Path) -> list[Run]:
    """Return the runs in a folder and below it, seed 2 before seed 10.

    Raises:
        UserError: if it is no folder, or holds no run.
    """
    if not folder.is_dir():
        raise UserError(f"no folder {folder}; name the one with the run folders")
    found = []
    for place, below, files in os.walk(folder):
        # A config alone may be of another program: a run's folder has its lock, or results.
        if {"eval.csv", "train.csv"} & {*files} or {"config.json", ".lock"} <= {*files}:
            found.append(Run(Path(place)))
            below.clear()
        below[:] = [name for name in below if not name.startswith(".")]
    if not found:
        raise UserError(f"{folder} holds no run (a folder with config.json or eval.csv)")
    return sorted(found, key=lambda run: _natural(str(run.path)))


def _natural(text: str) -> list[tuple[int, str]]:
    """Return a key by which numbers in texts are sorted as numbers."""
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", text)]


def statuses(runs: Sequence[Run]) -> Iterator[Status]:
    """Yield how runs are doing, in their order; what is left follows from the pace of all."""
    pace = Pace()
    found = [_status(run) for run in runs]
    for one in found:
        pace.add_run(one.label, one.run)
    for one in found:
        yield dataclasses.replace(one, left=_left(one, pace))


def _status(run: Run) -> Status:
    try:
        config = run.config if run.has_config else None
        _ = run.evaluations, run.logged_step
    except UserError as error:
        return Status(run, "damaged", problem=str(error))
    seen = look_at(run)
    if seen.finished:
        state: State = "finished"
    elif config is None:
        state = "evidence"
    else:
        state = "running" if run.folder.in_use() else "stopped"
    one = Status(run, state, seen.step, seen.success, config)
    return dataclasses.replace(one, rate=_rate(one) if state == "running" else None)


def _rate(one: Status) -> float | None:
    """Return the pace of a running run from the times at which its files were written.

    It is the mean since the last checkpoint or evaluation, or since the process that runs now
    started, whichever covers more time, within the phase that the run is in.
    """
    run, folder = one.run, one.run.folder
    logged, now = run.logged_step, _time(folder.train_csv)
    started = folder.started() or 0.0
    first = one.config.offline_steps if one.config and one.phase == PHASES[1] else 0
    saved = run.checkpoints[-1:]
    marks = [(max(run.saved_step, 0), max(_time(*saved), started))]
    marks += [(e.step, _time(folder.eval_csv)) for e in run.evaluations[-1:]]
    spans = [
        (now - time, logged - step)
        for step, time in marks
        if first <= step < logged and started <= time < now
    ]
    if not spans:
        return None
    seconds, steps = max(spans)
    return steps / seconds


def _time(*paths: Path) -> float:
    """Return when a file was last written, in seconds; 0 where there is none."""
    try:
        return paths[0].stat().st_mtime if paths else 0.0
    except OSError:
        return 0.0


def _left(one: Status, pace: Pace) -> float | None:
    if one.config is None or one.state not in ("running", "stopped"):
        return None
    steps = {
        PHASES[0]: max(one.config.offline_steps - one.step, 0),
        PHASES[1]: one.config.total_steps - max(one.step, one.config.offline_steps),
    }
    present = 0.0
    if one.rate:
        present = steps.pop(one.phase) / one.rate
    rest = pace.left(one.label, steps)
    return None if rest is None else present + rest
