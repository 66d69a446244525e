"""What the run folders of a suite hold. Any run in its place counts, wherever it was made.

A folder of committed evidence may hold as little as the ``eval.csv`` of each run.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from driftpolicy.errors import UserError
from driftpolicy.runs import PHASES, Evaluation, Run, Summary
from driftpolicy.suites.matching import objection
from driftpolicy.suites.suite import Cell, Suite


class PhaseResult(NamedTuple):
    """What there is of one phase of a run."""

    goal: int
    """The step at which the suite wants the phase to end; 0 if the run has no such phase."""
    last: Evaluation | None
    """The last evaluation of the phase."""

    @property
    def ended(self) -> bool:
        """Tell whether the phase was evaluated at its end."""
        return self.last is not None and self.last.step >= self.goal > 0


@dataclasses.dataclass(frozen=True)
class Result:
    """A run that a suite asks for, and what there is of it."""

    cell: Cell
    run: Run
    phases: Mapping[str, PhaseResult]
    """By name, ``offline`` and ``online``."""
    evaluations: tuple[Evaluation, ...] = ()
    """Empty where nothing was run yet."""
    summary: Summary | None = None
    """What the run says of itself at its end; None before, and where it was not kept."""
    objection: str = ""
    """Why what is in the folder is another run, which does not count; empty if it is this one."""

    @property
    def film(self) -> Path | None:
        """Return the run's film, unless it may be one that is being written at this moment."""
        return None if self.objection else self.run.film

    @property
    def finished(self) -> bool:
        """Tell whether the run was evaluated at its end."""
        return any(phase.ended and phase.goal == self.total for phase in self.phases.values())

    @property
    def total(self) -> int:
        """Return the number of steps that the suite asks for, over both phases."""
        return self.cell.config.total_steps

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
    results = [_read_result(cell, Run(cell.folder(root).path)) for cell in suite.cells]
    if not any(result.evaluations for result in results):
        raise UserError(
            f"{root} holds no evaluation of the suite {suite.name}; looked for "
            f"{results[0].cell.name}/eval.csv and {len(results) - 1} others"
        )
    return results


def _read_result(cell: Cell, run: Run) -> Result:
    other = objection(run.folder, cell.config) if run.has_config else ""
    evaluations = () if other else run.evaluations
    config = cell.config
    goals = {"offline": config.offline_steps, "online": config.online_steps and config.total_steps}
    return Result(
        cell,
        run,
        phases={phase: _phase_result(evaluations, phase, goals[phase]) for phase in PHASES},
        evaluations=evaluations,
        summary=None if other else run.summary,
        objection=other,
    )


def _phase_result(evaluations: Sequence[Evaluation], phase: str, goal: int) -> PhaseResult:
    return PhaseResult(goal, next((e for e in reversed(evaluations) if e.phase == phase), None))
