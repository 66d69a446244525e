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


def read_columns(file: Path, names: list[str]) -> dict[str, np.ndarray]:
    """Read columns of a Parquet file, each ``[rows, n]``.

    Raises:
        UserError: if pyarrow is not installed, or the file is missing, damaged or without them.
    """
    try:
        import pyarrow.parquet as parquet
    except ImportError:
        raise UserError("LeRobotDatasets need pyarrow: uv sync --extra lerobot") from None
    with damaged(f"{file} is missing, damaged or without {listing(names)}"):
        if not file.is_file():
            raise FileNotFoundError("no such file")
        with parquet.ParquetFile(file, page_checksum_verification=True) as opened:
            require_plausible(file, _BYTES * _numbers(opened.metadata, names))
            table = opened.read(columns=names)
        missing = [name for name in names if table.column_names.count(name) != 1]
        if missing:
            raise KeyError(f"it has {listing(table.column_names)}")
        return {name: _rows(file, name, table[name].combine_chunks()) for name in names}


def _numbers(metadata: Any, names: list[str]) -> int:
    """Return how many numbers some columns claim to hold."""
    count = 0
    for group in range(metadata.num_row_groups):
        for place in range(metadata.num_columns):
            column = metadata.row_group(group).column(place)
            path = column.path_in_schema
            if any(path == name or path.startswith(f"{name}.") for name in names):
                count += column.num_values
    return count


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
