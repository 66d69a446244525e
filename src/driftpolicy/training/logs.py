"""Logs of a run: CSV always, TensorBoard and Weights & Biases by choice."""

import csv
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from driftpolicy.errors import UserError

EVAL_COLUMNS = ("step", "phase", "success", "return", "length", "episodes", "wall_s")


class CsvLog:
    """Rows appended to a CSV file, whose length a checkpoint remembers.

    After a crash the file is cut back to the length it had at the checkpoint, so that no row is
    lost or doubled when the work since then is repeated.
    """

    def __init__(self, path: Path, columns: Sequence[str], length: int):
        """Open ``path``, cut to ``length`` bytes (0: start afresh).

        Raises:
            UserError: if the file is shorter than that, or cannot be written.
        """
        self._path = path
        self._columns = list(columns)
        try:
            self._file = open(path, "a+b")  # noqa: SIM115  (open as long as the run)
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror}") from None
        size = self._file.seek(0, os.SEEK_END)
        if size < length:
            self._file.close()
            raise UserError(f"{path} has lost rows: {size} bytes, the checkpoint knows {length}")
        self._file.truncate(length)
        if length == 0:
            self._append(",".join(self._columns) + "\r\n")

    def write(self, row: Mapping[str, Any]) -> None:
        """Append a row. Numbers are written in full; NaN as an empty cell."""
        if set(row) != set(self._columns):
            raise ValueError(f"columns {sorted(row)}, expected {sorted(self._columns)}")
        cells = [row[name] for name in self._columns]
        texts = ["" if isinstance(c, float) and math.isnan(c) else str(c) for c in cells]
        self._append(",".join(texts) + "\r\n")

    def _append(self, line: str) -> None:
        try:
            self._file.write(line.encode())
            self._file.flush()
        except OSError as error:
            raise UserError(f"cannot write {self._path}: {error.strerror}") from None

    def length(self) -> int:
        """Bytes so far, once they are safely on disk."""
        os.fsync(self._file.fileno())
        return self._file.seek(0, os.SEEK_END)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_csv(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file, empty if there is none."""
    if not path.exists():
        return []
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


class Means:
    """Means of metrics over steps, accumulated in float64 one step at a time.

    One step at a time makes the result independent of how the steps were grouped into compiled
    blocks, so that an interrupted run logs the same numbers.
    """

    def __init__(self) -> None:
        """Nothing accumulated."""
        self.sums: dict[str, float] = {}
        self.counts: dict[str, int] = {}

    def add(self, name: str, value: float) -> None:
        """Count one value; NaN stands for "not measured" and is left out."""
        if not math.isnan(value):
            self.sums[name] = self.sums.get(name, 0.0) + value
            self.counts[name] = self.counts.get(name, 0) + 1

    def mean(self, name: str) -> float:
        """The mean so far, NaN where nothing was measured."""
        return self.sums[name] / self.counts[name] if name in self.sums else math.nan

    def state(self) -> dict[str, Any]:
        """For a checkpoint; exact, since JSON keeps every digit of a float."""
        return {"sums": self.sums, "counts": self.counts}

    @classmethod
    def load(cls, state: Mapping[str, Any]) -> "Means":
        """The inverse of :meth:`state`."""
        means = cls()
        means.sums, means.counts = dict(state["sums"]), dict(state["counts"])
        return means


@runtime_checkable
class Sink(Protocol):
    """A further place for the same numbers."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Record values at a step."""
        ...

    def close(self) -> None:
        """Flush and close."""
        ...


class _TensorBoard:
    def __init__(self, folder: Path):
        try:
            from tensorboardX import SummaryWriter  # pyright: ignore[reportMissingImports]
        except ImportError:
            raise UserError("TensorBoard is not installed: uv sync --extra tensorboard") from None
        self._writer = SummaryWriter(str(folder / "tensorboard"))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


class _WandB:
    def __init__(self, folder: Path, settings: Mapping[str, Any]):
        try:
            import wandb  # pyright: ignore[reportMissingImports]
        except ImportError:
            raise UserError("W&B is not installed: uv sync --extra wandb") from None
        name = "-".join(folder.parts[-3:])
        self._run = wandb.init(
            project="driftpolicy", id=name, dir=str(folder), config=dict(settings), resume="allow"
        )

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log({"step": step, **values})

    def close(self) -> None:
        self._run.finish()


def open_sinks(names: Sequence[str], folder: Path, settings: Mapping[str, Any]) -> list[Sink]:
    """The chosen loggers, in order.

    Raises:
        UserError: naming the extra to install.
    """
    makers = {
        "tensorboard": lambda: _TensorBoard(folder),
        "wandb": lambda: _WandB(folder, settings),
    }
    return [makers[name]() for name in names]
