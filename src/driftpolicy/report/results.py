"""What the run folders of a suite hold. Any run in its place counts, wherever it was made.

A folder of committed evidence may hold as little as the ``eval.csv`` of each run.
"""

import dataclasses
import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from driftpolicy.config import TrainConfig
from driftpolicy.errors import UserError
from driftpolicy.runs.folder import RunFolder
from driftpolicy.runs.tables import EVAL_COLUMNS
from driftpolicy.suites.suite import Cell, Suite
from driftpolicy.suites.watch import objection

PHASES = ("offline", "online")


class Evaluation(NamedTuple):
    """A row of ``eval.csv``."""

    step: int
    phase: str
    success: float
    """In percent."""
    total_reward: float
    length: float
    episodes: int
    wall_s: float


@dataclasses.dataclass(frozen=True)
class Result:
    """A run of a suite and what is there of it."""

    cell: Cell
    folder: RunFolder
    evaluations: tuple[Evaluation, ...]
    """Empty where nothing was run yet."""
    summary: dict[str, Any]
    """What the run says of itself at its end; empty before, and where it was not kept."""
    objection: str = ""
    """Why what is in the folder is another run, which does not count; empty if it is this one."""

    @cached_property
    def config(self) -> TrainConfig:
        """What the suite asks for."""
        return self.cell.config()

    def goal(self, phase: str) -> int:
        """The step at which a phase is to end; 0 if the run has no such phase."""
        own = self.config.offline_steps if phase == "offline" else self.config.online_steps
        before = 0 if phase == "offline" else self.config.offline_steps
        return before + own if own else 0

    def last(self, phase: str) -> Evaluation | None:
        """The last evaluation of a phase."""
        return next((e for e in reversed(self.evaluations) if e.phase == phase), None)

    def ended(self, phase: str) -> bool:
        """Whether the phase was evaluated at its end."""
        last = self.last(phase)
        return last is not None and last.step >= self.goal(phase) > 0

    @property
    def film(self) -> Path | None:
        """The run's film, unless it may be one that is being written at this moment."""
        whole = bool(self.summary) or not self.folder.config_file.exists()
        return self.folder.video if whole and self.folder.video.exists() else None

    @property
    def finished(self) -> bool:
        """Whether the run was evaluated at its end."""
        return any(self.ended(phase) for phase in PHASES if self.goal(phase) == self.total)

    @property
    def total(self) -> int:
        """All steps that the suite asks for."""
        return self.config.total_steps

    @property
    def steps(self) -> int:
        """The step of the last evaluation."""
        return self.evaluations[-1].step if self.evaluations else 0


def read_results(suite: Suite, root: Path) -> list[Result]:
    """Every run of a suite, run or not, in the suite's order.

    Args:
        suite: which runs.
        root: the folder with ``<task>/<method[@variant]>/seed<k>``.

    Raises:
        UserError: if ``root`` is no folder, holds none of the suite's runs, or a file is damaged.
    """
    if not root.is_dir():
        raise UserError(f"no folder {root}; name the one with the suite's runs (--runs)")
    results = []
    for cell in {cell.name: cell for cell in suite.cells()}.values():  # joined suites overlap
        folder = cell.folder(root)
        other = objection(folder, cell.config()) if folder.config_file.exists() else ""
        evaluations = () if other else read_evaluations(folder.eval_csv)
        summary = {} if other else _read_summary(folder.summary)
        results.append(Result(cell, folder, evaluations, summary, other))
    if not any(result.evaluations for result in results):
        raise UserError(
            f"{root} holds no evaluation of the suite {suite.name}; looked for "
            f"{results[0].cell.name}/eval.csv and {len(results) - 1} others"
        )
    return results


def read_evaluations(path: Path) -> tuple[Evaluation, ...]:
    """The rows of an ``eval.csv``, none if there is no file.

    A last line without its end is one that a run is writing at this moment; it is left out.

    Raises:
        UserError: naming the file and the row that cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {error}") from None
    header, *lines = text[: text.rfind("\n") + 1].splitlines() or [""]
    if header and header.split(",") != list(EVAL_COLUMNS):
        raise UserError(f"{path} does not have the columns {','.join(EVAL_COLUMNS)}")
    rows = []
    for number, line in enumerate(lines, start=2):
        try:
            step, phase, success, reward, length, episodes, wall_s = line.split(",")
            row = Evaluation(
                *(int(step), phase, 100 * float(success), float(reward)),
                *(float(length), int(episodes), float(wall_s)),
            )
        except ValueError:
            raise UserError(f"{path}: line {number} is no evaluation: {line!r}") from None
        if phase not in PHASES or not 0 <= row.success <= 100:
            raise UserError(f"{path}: line {number} is no evaluation: {line!r}")
        if rows and row.step <= rows[-1].step:
            raise UserError(f"{path}: line {number} goes back to step {row.step}")
        rows.append(row)
    return tuple(rows)


def of(results: Sequence[Result], task: str, label: str) -> list[Result]:
    """The runs of one task and method, all seeds."""
    return [r for r in results if (r.cell.task, r.cell.label) == (task, label)]


def labels_of(suite: Suite) -> tuple[str, ...]:
    """Methods with their variants, in the order of their first use."""
    return tuple(dict.fromkeys(cell.label for cell in suite.cells()))


def _read_summary(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {error}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path} is no summary of a run")
    return values
