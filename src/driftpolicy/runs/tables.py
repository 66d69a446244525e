"""The tables of a run folder, as CSV files."""

import csv
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

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
