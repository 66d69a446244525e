"""A run as its folder shows it: one reader for tables, curves, pages, export and people."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from driftpolicy.config import TrainConfig
from driftpolicy.errors import UserError
from driftpolicy.fields import convert
from driftpolicy.runs.checkpoints import list_checkpoints, step_of
from driftpolicy.runs.folder import RunFolder
from driftpolicy.runs.sums import require_sealed, require_unchanged
from driftpolicy.runs.tables import (
    Evaluation,
    Training,
    last_training_step,
    read_evaluations,
    read_training,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Summary:
    """What a finished run says in its ``summary.json``; None where it does not."""

    version: str | None = None
    """The version of driftpolicy that finished the run."""
    versions: Mapping[str, Any] | None = None
    """The versions of this package, Python and the packages that decide a result."""
    task: str | None = None
    method: str | None = None
    seed: int | None = None
    steps: int | None = None
    final: Mapping[str, Any] | None = None
    """The last evaluation, by the columns of ``eval.csv``."""
    wall_s: float | None = None
    """Seconds of training."""
    data: Mapping[str, Any] | None = None
    """Where the prior data come from and what identifies them."""
    video: str | None = None
    """The name of the film's file."""


_KINDS: dict[str, type] = {
    "version": str,
    "versions": dict,
    "task": str,
    "method": str,
    "seed": int,
    "steps": int,
    "final": dict,
    "wall_s": float,
    "data": dict,
    "video": str,
}


class Run:
    """A run in its folder, finished, under way, or kept as evidence with no more than eval.csv.

    Every property reads the folder anew. What a file cannot say, because it is damaged, is a
    :class:`driftpolicy.errors.UserError` that names the file and the line.
    """

    def __init__(self, path: str | Path):
        """Nothing is read yet; see :func:`load_run`."""
        self.folder = RunFolder(Path(path))

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @property
    def path(self) -> Path:
        """Return the run's folder."""
        return self.folder.path

    @property
    def has_config(self) -> bool:
        """Tell whether the folder says what run it holds; evidence need not."""
        return self.folder.config_file.exists()

    @property
    def config(self) -> TrainConfig:
        """Return everything that decided the run."""
        return self.folder.config()

    @property
    def evaluations(self) -> tuple[Evaluation, ...]:
        """Return the evaluations so far, in the order of their steps."""
        require_unchanged(self.folder.eval_csv, self.folder.summary)
        return read_evaluations(self.folder.eval_csv)

    @property
    def training(self) -> Training:
        """Return what was logged while the run trained."""
        require_unchanged(self.folder.train_csv, self.folder.summary)
        return read_training(self.folder.train_csv)

    @property
    def summary(self) -> Summary | None:
        """Return what the run said at its end; None before, and where it was not kept."""
        return read_summary(self.folder.summary)

    @property
    def finished(self) -> bool:
        """Tell whether the run is complete."""
        return self.folder.finished()

    @property
    def damage(self) -> str:
        """Say in a line what is damaged among the run's small files; empty if nothing is."""
        try:
            _ = self.config, self.evaluations, self.training, self.summary
        except UserError as error:
            return str(error)
        return ""

    @property
    def checkpoints(self) -> list[Path]:
        """Return the files of the checkpoints, oldest first."""
        return list_checkpoints(self.folder.checkpoints)

    @property
    def saved_step(self) -> int:
        """Return the step of the last checkpoint, -1 if there is none."""
        found = self.checkpoints
        return step_of(found[-1]) if found else -1

    @property
    def logged_step(self) -> int:
        """Return the last step of ``train.csv``, 0 if there is none."""
        return last_training_step(self.folder.train_csv)

    @property
    def curves(self) -> Path | None:
        """Return the file of the run's curves, None if there is none."""
        return self.folder.curves if self.folder.curves.exists() else None

    @property
    def film(self) -> Path | None:
        """Return the file of the run's film, None if there is none or it may be half-written."""
        whole = self.finished or not self.has_config
        return self.folder.video if whole and self.folder.video.exists() else None


def load_run(path: str | Path) -> Run:
    """Return the run of a folder.

    Raises:
        UserError: if the folder holds no run.
    """
    run = Run(path)
    if not run.has_config and not run.folder.eval_csv.exists():
        raise UserError(f"{run.path} holds no run (neither config.json nor eval.csv)")
    return run


def read_summary(path: Path) -> Summary | None:
    """Return what a ``summary.json`` holds, None if there is no file.

    Raises:
        UserError: naming the file and what is damaged in it.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {error}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path} is no summary of a run")
    require_sealed(values, path)
    known = {}
    for name, kind in _KINDS.items():
        value = convert(values.get(name), kind)
        if value is not None and type(value) is not kind:
            raise UserError(f"{path}: {name} cannot be {value!r}")
        known[name] = value
    return Summary(**known)
