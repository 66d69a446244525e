"""What the run folders of a suite hold. Any run in its place counts, wherever it was made.

A folder of committed evidence may hold as little as the ``eval.csv`` of each run.
"""

import dataclasses
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from driftpolicy.config import TrainConfig
from driftpolicy.errors import UserError
from driftpolicy.runs import PHASES, Evaluation, Run, Summary
from driftpolicy.suites.matching import objection
from driftpolicy.suites.suite import Cell, Suite


@dataclasses.dataclass(frozen=True)
class Result:
    """A run that a suite asks for, and what there is of it."""

    cell: Cell
    run: Run
    evaluations: tuple[Evaluation, ...] = ()
    """Empty where nothing was run yet."""
    summary: Summary | None = None
    """What the run says of itself at its end; None before, and where it was not kept."""
    objection: str = ""
    """Why what is in the folder is another run, which does not count; empty if it is this one."""

    @cached_property
    def config(self) -> TrainConfig:
        """Return the settings that the suite asks for."""
        return self.cell.config()

    def goal(self, phase: str) -> int:
        """Return the step at which a phase is to end; 0 if the run has no such phase."""
        steps = self.config.offline_steps if phase == "offline" else self.config.online_steps
        before = 0 if phase == "offline" else self.config.offline_steps
        return before + steps if steps else 0

    def last(self, phase: str) -> Evaluation | None:
        """Return the last evaluation of a phase."""
        return next((e for e in reversed(self.evaluations) if e.phase == phase), None)

    def ended(self, phase: str) -> bool:
        """Tell whether the phase was evaluated at its end."""
        last = self.last(phase)
        return last is not None and last.step >= self.goal(phase) > 0

    @property
    def film(self) -> Path | None:
        """Return the run's film, unless it may be one that is being written at this moment."""
        return None if self.objection else self.run.film

    @property
    def finished(self) -> bool:
        """Tell whether the run was evaluated at its end."""
        return any(self.ended(phase) for phase in PHASES if self.goal(phase) == self.total)

    @property
    def total(self) -> int:
        """Return the number of steps that the suite asks for, over both phases."""
        return self.config.total_steps

    @property
    def steps(self) -> int:
        """Return the step of the last evaluation."""
        return self.evaluations[-1].step if self.evaluations else 0


def read_results(suite: Suite, root: Path) -> list[Result]:
    """Return every run of a suite, made or not, in the suite's order.

    Args:
        suite: which runs.
        root: the folder with ``<task>/<method[@variant]>/seed<k>``.

    Raises:
        UserError: if ``root`` is no folder, holds none of the suite's runs, or a file is damaged.
    """
    if not root.is_dir():
        raise UserError(f"no folder {root}; name the one with the suite's runs (--runs)")
    cells = {cell.name: cell for cell in suite.cells()}.values()  # joined suites overlap
    results = [_read_result(cell, Run(cell.folder(root).path)) for cell in cells]
    if not any(result.evaluations for result in results):
        raise UserError(
            f"{root} holds no evaluation of the suite {suite.name}; looked for "
            f"{results[0].cell.name}/eval.csv and {len(results) - 1} others"
        )
    return results


def _read_result(cell: Cell, run: Run) -> Result:
    other = objection(run.folder, cell.config()) if run.has_config else ""
    if other:
        return Result(cell, run, objection=other)
    return Result(cell, run, run.evaluations, run.summary)


def runs_of(results: Sequence[Result], task: str, label: str) -> list[Result]:
    """Return the runs of one task and method, all seeds."""
    return [r for r in results if (r.cell.task, r.cell.label) == (task, label)]
