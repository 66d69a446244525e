"""The run folder ``runs/<task>/<method>/seed<k>/``: its files, what is written, who holds it."""

import fcntl
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from driftpolicy.agents.registry import folder_of_method
from driftpolicy.config import TrainConfig
from driftpolicy.data.files import write_atomically
from driftpolicy.data.leftovers import remove_leftovers
from driftpolicy.errors import UserError
from driftpolicy.runs.checkpoints import Checkpoint
from driftpolicy.runs.sums import require_unchanged, sealed
from driftpolicy.tasks.registry import find_task

_ATTEMPTS = 10  # at the lock, in a fifth of a second


class RunFolder:
    """The paths of a run, its config, and the lock that keeps a second process out.

    :class:`driftpolicy.runs.Run` reads what is in them.
    """

    def __init__(self, path: Path):
        """Name a folder, which need not exist yet."""
        self.path = path
        self.config_file = path / "config.json"
        self.checkpoints = path / "checkpoints"
        self.offline_end = self.checkpoints / "offline-end.npz"
        """The run's checkpoint at the end of its offline phase, for runs that take it over."""
        self.eval_csv = path / "eval.csv"
        self.train_csv = path / "train.csv"
        self.summary = path / "summary.json"
        self.curves = path / "curves.png"
        self.video = path / "rollout.mp4"
        self.log = path / "log.txt"
        """What a suite's process of this run printed, over all attempts."""
        self._lock = path / ".lock"

    @classmethod
    def of(cls, config: TrainConfig, root: Path) -> "RunFolder":
        """Return the folder of a config under ``root``."""
        task = find_task(config.task).folder
        return cls(root / task / folder_of_method(config.method) / f"seed{config.seed}")

    def create(self, config: TrainConfig) -> None:
        """Write the config into a folder in which nothing has been trained yet.

        Raises:
            UserError: if it holds one in which something has been.
        """
        self.require_free(config)
        self.write_text(self.config_file, config.to_json())

    def require_free(self, config: TrainConfig) -> None:
        """Refuse a folder in which something has been trained.

        Raises:
            UserError: naming the run that it holds, and how to go on.
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

    def discard(self) -> None:
        """Forget a run of which there is nothing but its config; hold the lock."""
        if not self.train_csv.exists() and not self.checkpoints.exists():
            self.config_file.unlink(missing_ok=True)

    def config(self) -> TrainConfig:
        """Return the run's config.

        Raises:
            UserError: if the folder holds no run, or its config is damaged, or was changed after
                the run had ended.
        """
        require_unchanged(self.config_file, self.summary)
        try:
            text = self.config_file.read_text(encoding="utf-8")
        except OSError:
            raise UserError(f"{self.path} holds no run (no config.json)") from None
        except UnicodeDecodeError as error:
            raise UserError(f"cannot read {self.config_file}: {error}") from None
        try:
            return TrainConfig.from_json(text)
        except UserError as error:
            raise UserError(f"{self.config_file}: {error}") from None

    def logs(self, checkpoint: Checkpoint) -> dict[str, bytes]:
        """Return the contents of the logs, under ``eval`` and ``train``, up to a checkpoint.

        Args:
            checkpoint: of this run; an older version's holds the lengths of the logs alone, and
                the files are read.

        Raises:
            UserError: if a file has lost rows that the checkpoint does not hold.
        """
        if checkpoint.logs:
            return dict(checkpoint.logs)
        contents = {}
        for name, path in (("eval", self.eval_csv), ("train", self.train_csv)):
            length = checkpoint.csv_lengths.get(name, 0)
            content = path.read_bytes()[:length] if path.is_file() else b""
            if len(content) < length:
                raise UserError(
                    f"{path} has lost rows: {len(content)} bytes, the checkpoint knows {length}; "
                    "put the whole file back"
                )
            contents[name] = content
        return contents

    def begun(self) -> bool:
        """Tell whether a run has been created here, or at least something trained."""
        return self.config_file.exists() or self.train_csv.exists()

    def finished(self) -> bool:
        """Tell whether the run is complete."""
        return self.summary.exists()

    def write_summary(self, values: Mapping[str, Any]) -> None:
        """Mark the run as finished, with the values of :class:`driftpolicy.runs.Summary`."""
        values = sealed(values, self.summary, (self.config_file, self.eval_csv, self.train_csv))
        self.write_text(self.summary, json.dumps(values, indent=2) + "\n")

    @staticmethod
    def write_text(path: Path, text: str) -> None:
        """Write a small file atomically."""
        write_atomically(path, lambda file: file.write(text.encode()), what="file")

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder for this process; it is released however the process ends.

        What processes that were killed have left half-written is removed.

        Raises:
            UserError: if another process holds it.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            file = open(self._lock, "w")  # noqa: SIM115  (held for the whole run)
        except OSError as error:
            raise UserError(f"cannot use the run folder {self.path}: {error.strerror}") from None
        with file:
            self._take(file)
            for folder in (self.path, self.checkpoints):
                remove_leftovers(folder)
            yield

    def _take(self, file: IO[str]) -> None:
        """Take the lock, also where a look at it (:meth:`in_use`) has it for a moment.

        Raises:
            UserError: if another process holds it.
        """
        for _ in range(_ATTEMPTS):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except OSError:
                time.sleep(0.02)
        raise UserError(f"another process is running in {self.path}")

    def started(self) -> float | None:
        """Return when the folder was last locked, in seconds since 1970; None if it never was."""
        try:
            return self._lock.stat().st_mtime
        except OSError:
            return None

    def in_use(self) -> bool:
        """Tell whether a process holds the folder.

        Asking takes the lock for a moment; a run that starts at this moment asks again.
        """
        try:
            with open(self._lock) as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return False
