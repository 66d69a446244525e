"""The tables of a run folder, ``eval.csv`` and ``train.csv``: how they are written and read."""

import contextlib
import dataclasses
import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from driftpolicy.data.files import write_atomically
from driftpolicy.errors import UserError

PHASES = ("offline", "online")
EVAL_COLUMNS = ("step", "phase", "success", "return", "length", "episodes", "wall_s")
KEY_COLUMNS = ("step", "phase")
"""The first columns of ``train.csv``; a mean of each metric over the steps follows."""
_COUNT = re.compile(r"\d+", re.ASCII)
_NUMBER = re.compile(r"-?(inf|\d+(\.\d+)?(e[-+]?\d+)?)", re.ASCII)


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """A row of ``eval.csv``: the means over the episodes of one evaluation."""

    step: int
    phase: str
    success: float
    """The success rate, from 0 to 1."""
    return_: float
    """The sum of an episode's rewards; NaN where it is not known."""
    length: float
    """The steps of an episode; NaN where they are not known."""
    episodes: int
    wall_s: float
    """Seconds of training up to this evaluation."""

    @property
    def percent(self) -> float:
        """Return the success rate in percent."""
        return 100 * self.success

    def row(self) -> dict[str, Any]:
        """Return the values by the columns of ``eval.csv``."""
        return dict(zip(EVAL_COLUMNS, dataclasses.astuple(self), strict=True))


@dataclasses.dataclass(frozen=True, eq=False)
class Training:
    """What ``train.csv`` holds: by row, the means over the steps since the row before."""

    steps: Int[np.ndarray, " rows"]
    phases: tuple[str, ...]
    metrics: Mapping[str, Float[np.ndarray, " rows"]]
    """By the metric's name, in the order of the columns; NaN where it was not measured."""


class CsvLog:
    """Rows appended to a CSV file, whose contents a checkpoint keeps.

    When a run goes on, the file becomes what it was at the checkpoint, so that no row is lost,
    damaged or doubled when the work since then is repeated.
    """

    def __init__(self, path: Path, columns: Sequence[str], content: bytes = b""):
        """Open ``path`` with the content that a checkpoint has kept; none means a new table.

        The content may be of a run that logged other columns, one that made the offline phase for
        this one: its rows are kept by the columns' names, and what it did not measure stays empty.

        Raises:
            UserError: if the file cannot be written, or the content has numbers in a column that
                is not among ``columns``.
        """
        self._path = path
        self._columns = list(columns)
        self.remark = ""
        """What the user should know of the file as it was found."""
        content = _fit(path, content, columns) if content else b""
        self._content = bytearray(content)
        try:
            if content:
                self._restore(content)
            self._file = open(path, "a+b")  # noqa: SIM115  (open as long as the run)
            self._file.truncate(len(content))
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror}") from None
        if not content:
            self._append(",".join(self._columns) + "\r\n")

    def _restore(self, content: bytes) -> None:
        """Let the file begin with ``content``; one that does not is kept under another name."""
        found = self._path.read_bytes() if self._path.exists() else b""
        if found.startswith(content):
            return
        if found:
            aside = self._path.with_name(f"{self._path.name}.damaged")
            os.replace(self._path, aside)
            self.remark = (
                f"{self._path} was damaged or had lost rows: it is written again from the "
                f"checkpoint, which has all of them, and what was found is in {aside.name}"
            )
        write_atomically(self._path, lambda file: file.write(content), what="file")

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
            self._content += line.encode()
        except OSError as error:
            raise UserError(f"cannot write {self._path}: {error.strerror}") from None

    def content(self) -> bytes:
        """Return the file's content, once it is safely on disk.

        Raises:
            UserError: if the disk does not take it.
        """
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise UserError(f"cannot write {self._path}: {error.strerror}") from None
        return bytes(self._content)

    def close(self) -> None:
        """Close the file."""
        # Only a row that could not be written is still to be flushed, and that was reported.
        with contextlib.suppress(OSError):
            self._file.close()


def _fit(path: Path, content: bytes, columns: Sequence[str]) -> bytes:
    """Return the content of a table with these columns, its rows kept by the columns' names.

    Raises:
        UserError: naming the file, if a row is not as its header says or a number would be lost.
    """
    header, *rows = [line.split(",") for line in content.decode().splitlines()]
    if header == list(columns):
        return content
    lines = [",".join(columns)]
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise UserError(f"{path}: line {number} has {len(row)} cells for {len(header)} columns")
        cells = dict(zip(header, row, strict=True))
        lines.append(",".join(cells.pop(name, "") for name in columns))
        if lost := [name for name, cell in cells.items() if cell]:
            raise UserError(
                f"{path}: line {number} has {', '.join(lost)}, which this run does not measure"
            )
    return "".join(f"{line}\r\n" for line in lines).encode()


def read_evaluations(path: Path) -> tuple[Evaluation, ...]:
    """Return the rows of an ``eval.csv``, none if there is no file.

    Raises:
        UserError: naming the file and the line that cannot be right.
    """
    header, lines = _read_lines(path)
    if header and header.split(",") != list(EVAL_COLUMNS):
        raise UserError(f"{path} does not have the columns {','.join(EVAL_COLUMNS)}")
    rows: list[Evaluation] = []
    for number, line in enumerate(lines, start=2):
        try:
            row = _evaluation(line)
        except ValueError:
            raise UserError(f"{path}: line {number} is no evaluation: {line!r}") from None
        if rows:
            _require_order(path, number, rows[-1].step, rows[-1].phase, row.step, row.phase)
        rows.append(row)
    return tuple(rows)


def _evaluation(line: str) -> Evaluation:
    """Return the evaluation of a line; raises a ValueError if it is none."""
    step, phase, success, return_, length, episodes, wall_s = line.split(",")
    row = Evaluation(
        step=_count(step),
        phase=phase,
        success=_number(success),
        return_=_number(return_),
        length=_number(length),
        episodes=_count(episodes),
        wall_s=_number(wall_s),
    )
    if phase not in PHASES or not 0 <= row.success <= 1 or not 0 <= row.wall_s < math.inf:
        raise ValueError(line)
    return row


def read_training(path: Path) -> Training:
    """Return what a ``train.csv`` holds, no rows if there is no file.

    Raises:
        UserError: naming the file and the line that cannot be right.
    """
    header, lines = _read_lines(path)
    names = header.split(",") if header else list(KEY_COLUMNS)
    if tuple(names[:2]) != KEY_COLUMNS or len(set(names)) < len(names):
        raise UserError(f"{path} does not have columns that begin with {','.join(KEY_COLUMNS)}")
    steps: list[int] = []
    phases: list[str] = []
    table: list[list[float]] = []
    for number, line in enumerate(lines, start=2):
        try:
            step, phase, *cells = line.split(",")
            steps.append(_count(step))
            phases.append(phase)
            table.append([_number(cell) for cell in cells])
            if phase not in PHASES or len(cells) != len(names) - 2:
                raise ValueError(line)
        except ValueError:
            raise UserError(f"{path}: line {number} is no row of training: {line!r}") from None
        if number > 2:
            _require_order(path, number, steps[-2], phases[-2], steps[-1], phases[-1])
    columns = np.array(table, np.float64).reshape(len(steps), len(names) - 2).T
    metrics = dict(zip(names[2:], columns, strict=True))
    return Training(np.array(steps, np.int64), tuple(phases), metrics)


def last_training_step(path: Path) -> int:
    """Return the step of the last row of a ``train.csv``, 0 if there is none; reads no other row.

    Raises:
        UserError: if that row does not begin with a step.
    """
    _, lines = _read_lines(path)
    if not lines:
        return 0
    try:
        return _count(lines[-1].split(",")[0])
    except ValueError:
        number = len(lines) + 1
        raise UserError(f"{path}: line {number} is no row of training: {lines[-1]!r}") from None


def _read_lines(path: Path) -> tuple[str, list[str]]:
    """Return the header and the other lines of a table, nothing if there is no file.

    A last line without its end is one that a run is writing at this moment; it is left out.
    """
    try:
        text = path.read_bytes().decode()
    except FileNotFoundError:
        return "", []
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {error}") from None
    header, *lines = [line.removesuffix("\r") for line in text.split("\n")[:-1]] or [""]
    return header, lines


def _require_order(
    path: Path, number: int, step_before: int, phase_before: str, step: int, phase: str
) -> None:
    """Raise a UserError unless a line comes later in a run than the line before."""
    if step <= step_before:
        raise UserError(f"{path}: line {number} goes back to step {step}")
    if PHASES.index(phase) < PHASES.index(phase_before):
        raise UserError(f"{path}: line {number} goes back to the phase {phase}")


def _count(text: str) -> int:
    """Return a whole number written in digits alone; Python's own int() takes more than that."""
    if not _COUNT.fullmatch(text):
        raise ValueError(text)
    return int(text)


def _number(text: str) -> float:
    """Return a number as :class:`CsvLog` writes it, NaN for an empty cell."""
    if text and not _NUMBER.fullmatch(text):
        raise ValueError(text)
    return float(text) if text else math.nan
