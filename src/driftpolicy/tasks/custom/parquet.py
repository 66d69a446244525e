"""Columns of numbers in Parquet files, read through pyarrow."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from driftpolicy.data.files import require_plausible
from driftpolicy.errors import UserError, in_brief, listing

_BYTES = 8  # of a number in memory, at most


@contextlib.contextmanager
def damaged(what: str) -> Iterator[None]:
    """Turn whatever damaged files and strange values make the body raise into one line."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{what}: {in_brief(error)}") from None


def require_pyarrow() -> Any:
    """Return the module that reads Parquet files.

    Raises:
        UserError: if pyarrow is not installed.
    """
    try:
        import pyarrow.parquet as parquet
    except ImportError:
        raise UserError("LeRobotDatasets need pyarrow: uv sync --extra lerobot") from None
    return parquet


def read_columns(file: Path, names: list[str]) -> dict[str, np.ndarray]:
    """Read columns of a Parquet file, each ``[rows, n]``.

    Raises:
        UserError: if pyarrow is not installed, or the file is missing, damaged or without them.
    """
    parquet = require_pyarrow()
    with damaged(f"{file} is missing, damaged or without {listing(names)}"):
        if not file.is_file():
            raise FileNotFoundError("no such file")
        with parquet.ParquetFile(file, page_checksum_verification=True) as opened:
            require_plausible(file, _claimed(opened.metadata, len(names)))
            table = opened.read(columns=names)
        missing = [name for name in names if table.column_names.count(name) != 1]
        if missing:
            raise KeyError(f"it has {listing(table.column_names)}")
        return {name: _rows(file, name, table[name].combine_chunks()) for name in names}


def _claimed(metadata: Any, columns: int) -> int:
    """Return how many bytes a file claims to hold, in some columns if each has a number a row.

    What it says of each column is left alone: pyarrow ends the process where that is damaged.
    """
    groups = (metadata.row_group(group) for group in range(metadata.num_row_groups))
    return _BYTES * columns * metadata.num_rows + sum(group.total_byte_size for group in groups)


def _rows(file: Path, name: str, column: Any) -> np.ndarray:
    """Return a column of numbers or of lists, all of the same length."""
    import pyarrow as pa

    if column.null_count:
        raise UserError(f"{file}: {in_brief(name, 60)} is not there in {column.null_count} rows")
    if isinstance(column, pa.ListArray | pa.LargeListArray):
        lengths = np.unique(column.value_lengths().to_numpy())
        if len(lengths) > 1:
            raise UserError(
                f"{file}: {in_brief(name, 60)} has from {lengths[0]} to {lengths[-1]} numbers in a "
                "row, not always as many"
            )
    nested = isinstance(column, pa.ListArray | pa.FixedSizeListArray | pa.LargeListArray)
    values = column.flatten() if nested else column
    return values.to_numpy(zero_copy_only=False).reshape(len(column), -1)
