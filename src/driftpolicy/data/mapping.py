"""The mapped form of a shard: two files, which say which shard they were made of.

``<shard>.rows.npz`` holds the observations and actions of all tasks, a row per observation, and
``<shard>.<task>.npz`` the rewards and masks of one,
with what the checks of its rows have found. What the shard itself looks like is known to a
:class:`ShardReader` alone.
"""

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from driftpolicy.data.files import read_npz, write_npz
from driftpolicy.data.transitions import Dataset
from driftpolicy.errors import UserError
from driftpolicy.progress import format_bytes

_ROWS, _WORTH = 1, 2  # the layouts of the mapped files


class ShardShape(NamedTuple):
    """The size of a shard."""

    rows: int
    observation_dim: int
    action_dim: int


@runtime_checkable
class ShardReader(Protocol):
    """Reads the shards of one format for one task."""

    @property
    def task(self) -> str:
        """A word for the task whose rewards are read, which names its mapped files."""
        ...

    def list_shards(self, folder: Path) -> list[Path]:
        """List the shards in a folder, at least one, in their order.

        Raises:
            UserError: if there is none.
        """
        ...

    def describe(self, shard: Path) -> dict[str, Any]:
        """Describe who made a shard (``origin``); ``crc32`` identifies its contents.

        Raises:
            UserError: if it cannot be read.
        """
        ...

    def shape(self, shard: Path) -> ShardShape:
        """Return the size of a shard, of which only the head is read.

        Raises:
            UserError: if it cannot be read.
        """
        ...

    def read(self, shard: Path) -> Dataset:
        """Read a shard as transitions of the task.

        Raises:
            UserError: if it cannot be read.
        """
        ...


class MappedShard:
    """The mapped form of a shard: its two files."""

    def __init__(self, reader: ShardReader, shard: Path, cache: Path):
        self._reader = reader
        self.shard = shard
        self.rows = cache / f"{shard.stem}.rows.npz"
        self.worth = cache / f"{shard.stem}.{reader.task}.npz"
        self.description: dict[str, Any] = {}

    def read(self) -> Dataset | None:
        """Read the shard, unless both files are there and were made of it."""
        self.description = self._reader.describe(self.shard)
        if self._is_there(self.rows, _ROWS) and self._is_there(self.worth, _WORTH):
            return None
        return self._reader.read(self.shard)

    def write(self, data: Dataset) -> None:
        """Write the files that are not there."""
        rows = data.rows
        if not self._is_there(self.rows, _ROWS):
            arrays = {
                "metadata": np.array(self._origin(_ROWS)),
                "ends": np.flatnonzero(rows.last),
                "rows": np.concatenate([rows.observations, rows.actions], axis=1),
            }
            write_npz(self.rows, arrays, what="mapped shard")
        if not self._is_there(self.worth, _WORTH):
            arrays = {
                "metadata": np.array(self._origin(_WORTH)),
                "remarks": np.array(json.dumps(data.remarks)),
                "worth": np.stack([rows.rewards, rows.masks], axis=1),
            }
            write_npz(self.worth, arrays, what="mapped shard")

    def remarks(self) -> list[str]:
        """Return what was suspicious about the shard when it was converted."""
        return json.loads(str(read_npz(self.worth, only=("remarks",))["remarks"]))

    def missing_bytes(self) -> int:
        """Count the bytes that have to be written, as far as the shard can be read."""
        try:
            self.description = self._reader.describe(self.shard)
            shape = self.shape()
        except (UserError, ValueError, IndexError):
            return 0  # it is broken, which reading it will say
        count = 0
        if not self._is_there(self.rows, _ROWS):
            count += 4 * shape.rows * (shape.observation_dim + shape.action_dim)
        if not self._is_there(self.worth, _WORTH):
            count += 8 * shape.rows
        return count

    def shape(self) -> ShardShape:
        """Return the size of the shard."""
        return self._reader.shape(self.shard)

    def _is_there(self, file: Path, layout: int) -> bool:
        if not file.is_file():
            return False
        try:
            return str(read_npz(file, only=("metadata",)).get("metadata")) == self._origin(layout)
        except UserError:
            return False

    def _origin(self, layout: int) -> str:
        """Return what the files say that they were made of."""
        made_of = {"shard": self.shard.name, "crc32": self.description["crc32"], "layout": layout}
        return json.dumps(made_of)


def require_space(reader: ShardReader, shards: list[Path], cache: Path) -> None:
    """Raise a UserError if the mapped form of the shards will not fit on the disk."""
    needed = sum(MappedShard(reader, shard, cache).missing_bytes() for shard in shards)
    there = next(folder for folder in (cache, *cache.absolute().parents) if folder.exists())
    free = shutil.disk_usage(there).free
    if needed > free:
        raise UserError(
            f"mapping the shards takes {format_bytes(needed)} in {cache}, where "
            f"{format_bytes(free)} are free: make room, or name another folder (--data-cache)"
        )
