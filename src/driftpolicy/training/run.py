"""The run folder: ``runs/<task>/<method>/seed<k>/`` and what is in it."""

import fcntl
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from driftpolicy.data.files import write_atomically
from driftpolicy.errors import UserError
from driftpolicy.tasks.custom.tasks import CUSTOM_PREFIX
from driftpolicy.training.config import TrainConfig


def task_folder(task: str) -> str:
    """Of a task's name what suits a folder's, or a part of an address: one word without colons."""
    return re.sub(r"[^\w.=-]+", "-", task.removeprefix(CUSTOM_PREFIX)).strip("-.")


class RunFolder:
    """Paths of a run, its config, and the lock that keeps a second process out."""

    def __init__(self, path: Path):
        """``path`` need not exist yet."""
        self.path = path
        self.config_file = path / "config.json"
        self.checkpoints = path / "checkpoints"
        self.eval_csv = path / "eval.csv"
        self.train_csv = path / "train.csv"
        self.summary = path / "summary.json"
        self.curves = path / "curves.png"
        self.video = path / "rollout.mp4"

    @classmethod
    def of(cls, config: TrainConfig, root: Path) -> "RunFolder":
        """The folder of a config under ``root``."""
        return cls(root / task_folder(config.task) / config.method / f"seed{config.seed}")

    def create(self, config: TrainConfig) -> None:
        """Write the config into a folder in which nothing has been trained yet.

        Raises:
            UserError: if it already holds one, saying of what and how to go on.
        """
        if self.train_csv.exists():
            other = self.config()
            if (other.task, other.method) != (config.task, config.method):
                raise UserError(
                    f"{self.path} holds a run of {other.method} on {other.task}; "
                    "choose another folder (--run or --runs)"
                )
            raise UserError(
                f"{self.path} already holds a run; continue it (dfp resume {self.path}), "
                "delete the folder, or choose another (--run or --runs)"
            )
        self.write_text(self.config_file, config.to_json())

    def config(self) -> TrainConfig:
        """The run's config.

        Raises:
            UserError: if the folder holds no run, or its config is damaged.
        """
        try:
            text = self.config_file.read_text()
        except OSError:
            raise UserError(f"{self.path} holds no run (no config.json)") from None
        try:
            return TrainConfig.from_json(text)
        except UserError as error:
            raise UserError(f"{self.config_file}: {error}") from None

    def finished(self) -> bool:
        """Whether the run is complete."""
        return self.summary.exists()

    def write_summary(self, values: dict[str, Any]) -> None:
        """Mark the run as finished, with its final numbers."""
        self.write_text(self.summary, json.dumps(values, indent=2) + "\n")

    @staticmethod
    def write_text(path: Path, text: str) -> None:
        """Write a small file atomically."""
        write_atomically(path, lambda file: file.write(text.encode()), what="file")

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder for this process; released however the process ends.

        Raises:
            UserError: if another process holds it.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            file = open(self.path / ".lock", "w")  # noqa: SIM115  (held for the whole run)
        except OSError as error:
            raise UserError(f"cannot use the run folder {self.path}: {error.strerror}") from None
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise UserError(f"another process is running in {self.path}") from None
            yield
