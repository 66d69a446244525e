"""How far runs are and how fast, read from nothing but their folders, wherever they are made."""

import contextlib
import dataclasses
from collections import deque
from collections.abc import Mapping

from driftpolicy.errors import UserError
from driftpolicy.runs import Run

_POINTS = 10  # updates over which a rate is taken


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """How far a run is."""

    step: int = 0
    """The last step logged, evaluated or saved."""
    success: float | None = None
    """The success rate of the last evaluation, from 0 to 1."""
    finished: bool = False
    """Whether the run is complete."""


def look_at(run: Run) -> Snapshot:
    """Return how far a run is; a half-written row counts as not written.

    A table that cannot be read counts as empty: the run goes on, and whoever reads its results is
    told what is wrong with them.
    """
    step, success = max(run.saved_step, 0), None
    with contextlib.suppress(UserError):
        step = max(step, run.logged_step)
    with contextlib.suppress(UserError):
        for evaluation in run.evaluations[-1:]:
            step, success = max(step, evaluation.step), evaluation.success
    return Snapshot(step, success, run.finished)


class Rate:
    """A run's steps per second over the last updates in which its step changed."""

    def __init__(self) -> None:
        """Begin without updates."""
        self._points: deque[tuple[float, int]] = deque(maxlen=_POINTS)

    def add(self, now: float, step: int) -> tuple[float, int]:
        """Note a step and return the seconds and steps since the last, zeros if there was none."""
        if self._points and step < self._points[-1][1]:  # went back to a checkpoint
            self._points.clear()
        if self._points and step == self._points[-1][1]:
            return 0.0, 0
        last = self._points[-1] if self._points else (now, step)
        self._points.append((now, step))
        return now - last[0], step - last[1]

    def __float__(self) -> float:
        """Return steps per second, 0 where nothing is known."""
        if len(self._points) < 2:
            return 0.0
        (start, first), (end, last) = self._points[0], self._points[-1]
        return (last - first) / max(end - start, 1e-9)


class Pace:
    """Seconds per step by method and phase, from all runs seen: what time is left follows."""

    def __init__(self) -> None:
        """Begin without runs."""
        self._seen: dict[tuple[str, str], list[float]] = {}

    def add(self, label: str, phase: str, seconds: float, steps: int) -> None:
        """Count a stretch of a run."""
        for key in ((label, phase), ("", phase)):
            total = self._seen.setdefault(key, [0.0, 0.0])
            total[0] += seconds
            total[1] += steps

    def add_run(self, label: str, run: Run) -> None:
        """Count a run by the times of its evaluations; one that cannot be read counts nothing."""
        seconds, step = 0.0, 0
        with contextlib.suppress(UserError):
            for row in run.evaluations:
                self.add(label, row.phase, row.wall_s - seconds, row.step - step)
                seconds, step = row.wall_s, row.step

    def left(self, label: str, steps: Mapping[str, int]) -> float | None:
        """Return seconds for so many steps of each phase; None where no run of a phase was seen."""
        seconds = 0.0
        for phase, count in steps.items():
            total = self._seen.get((label, phase)) or self._seen.get(("", phase))
            if count and (total is None or not total[1]):
                return None
            if count and total is not None:
                seconds += count * total[0] / total[1]
        return seconds
