"""How far runs are, read from nothing but their folders, wherever the runs are made."""

import dataclasses
import fcntl
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from driftpolicy.config import TrainConfig
from driftpolicy.errors import UserError
from driftpolicy.runs.checkpoints import list_checkpoints
from driftpolicy.runs.folder import RunFolder
from driftpolicy.runs.tables import read_csv

FREE_FIELDS = frozenset(
    ("data", "loggers", "log_every", "checkpoint_every", "processes", "video"),
)
"""What a run made elsewhere may have otherwise: it changes neither the training nor eval.csv. That
a run's data are the right ones shows in its summary, not in a path."""
_POINTS = 10  # updates over which a rate is taken


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """What a run's folder says."""

    step: int = 0
    """The last step logged, evaluated or saved."""
    success: float | None = None
    """Of the last evaluation, 0 to 1."""
    finished: bool = False
    """Whether the run is complete."""


def read_folder(folder: RunFolder) -> Snapshot:
    """How far a run is; a half-written row counts as not written."""
    saved = saved_step(folder)
    logged, _ = _last_row(folder.train_csv)
    evaluated, success = _last_row(folder.eval_csv)
    return Snapshot(max(saved, logged, evaluated), success, folder.finished())


def saved_step(folder: RunFolder) -> int:
    """The step of the last checkpoint, -1 if there is none."""
    found = list_checkpoints(folder.checkpoints)
    return int(found[-1].stem.removeprefix("step-")) if found else -1


def _last_row(path: Path) -> tuple[int, float | None]:
    """The step of the last whole row, at least 0, and its success where it has one."""
    for row in reversed(read_csv(path)):
        try:
            return int(row["step"]), float(row["success"]) if "success" in row else None
        except (KeyError, TypeError, ValueError):
            continue  # torn
    return 0, None


def difference(found: TrainConfig, wanted: TrainConfig) -> str:
    """In words, the first setting that makes ``found`` another run than ``wanted``, or nothing."""
    pairs: list[tuple[Any, Any]] = [(found, wanted)]
    if type(found.agent) is type(wanted.agent):
        pairs.append((found.agent, wanted.agent))
    for one, other in pairs:
        for field in dataclasses.fields(one):
            ours, theirs = getattr(one, field.name), getattr(other, field.name)
            if field.name not in FREE_FIELDS | {"agent"} and ours != theirs:
                return f"has {field.name} {_text(ours)}, the suite says {_text(theirs)}"
    return ""


def _text(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def objection(folder: RunFolder, wanted: TrainConfig) -> str:
    """Why what is in a folder is not the run of this config, in one line; empty if it is."""
    if not folder.config_file.exists() and not folder.train_csv.exists():
        return ""
    try:
        differs = difference(folder.config(), wanted)
    except UserError as error:
        return str(error)
    return f"{folder.path} {differs}" if differs else ""


def in_use(folder: RunFolder) -> bool:
    """Whether a process holds the folder's lock; not to be asked while a run of ours starts."""
    try:
        with open(folder.path / ".lock") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


class Rate:
    """Steps per second over the last updates in which a run's step changed."""

    def __init__(self) -> None:
        """No updates yet."""
        self._points: deque[tuple[float, int]] = deque(maxlen=_POINTS)

    def add(self, now: float, step: int) -> tuple[float, int]:
        """Note a step; the seconds and steps since the last one noted, zeros if there are none."""
        if self._points and step < self._points[-1][1]:  # went back to a checkpoint
            self._points.clear()
        if self._points and step == self._points[-1][1]:
            return 0.0, 0
        last = self._points[-1] if self._points else (now, step)
        self._points.append((now, step))
        return now - last[0], step - last[1]

    def __float__(self) -> float:
        """Steps per second, 0 where nothing is known."""
        if len(self._points) < 2:
            return 0.0
        (start, first), (end, last) = self._points[0], self._points[-1]
        return (last - first) / max(end - start, 1e-9)


class Pace:
    """Seconds per step by method and phase, from all runs seen; for the time that is left."""

    def __init__(self) -> None:
        """Nothing seen."""
        self._seen: dict[tuple[str, str], list[float]] = {}

    def add(self, label: str, phase: str, seconds: float, steps: int) -> None:
        """Count a stretch of a run."""
        for key in ((label, phase), ("", phase)):
            total = self._seen.setdefault(key, [0.0, 0.0])
            total[0] += seconds
            total[1] += steps

    def add_run(self, label: str, folder: RunFolder) -> None:
        """Count a run by the times in its eval.csv."""
        before = (0.0, 0)
        for row in read_csv(folder.eval_csv):
            try:
                now = (float(row["wall_s"]), int(row["step"]))
            except (KeyError, TypeError, ValueError):
                return
            self.add(label, row["phase"], now[0] - before[0], now[1] - before[1])
            before = now

    def left(self, label: str, steps: Mapping[str, int]) -> float | None:
        """Seconds for so many steps of each phase; None where no run of a phase was seen."""
        seconds = 0.0
        for phase, count in steps.items():
            total = self._seen.get((label, phase)) or self._seen.get(("", phase))
            if count and (total is None or not total[1]):
                return None
            if count and total is not None:
                seconds += count * total[0] / total[1]
        return seconds
