"""A dataset in many files (shards): each converted once, then memory-mapped while runs train on it.

Shards are compressed and hold what training never reads, so they cannot be mapped as they are. The
first run on a folder of them writes their mapped form, into the folder ``mapped`` beside them or
into another (:mod:`driftpolicy.data.mapping`). Each file is written atomically and says which shard
it was made of, so an interrupted conversion goes on with the next shard, and a shard that has
changed is converted again.
"""

import zlib
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int32, Int64

from driftpolicy.data.files import MappedRows, read_npz
from driftpolicy.data.findings import SKIP
from driftpolicy.data.mapping import MappedShard, ShardReader, require_space
from driftpolicy.data.transitions import Dataset, Rows
from driftpolicy.errors import UserError, listing
from driftpolicy.scaling import Scaling

Progress = Callable[[int, int], None]


def map_shards(
    reader: ShardReader,
    folder: Path,
    *,
    cache: Path | None = None,
    skip_broken: bool = False,
    progress: Progress = lambda done, total: None,
    warn: Callable[[str], Any] = print,
) -> "Shards":
    """Map all shards of a folder, converting those that were not yet.

    Args:
        reader: knows their format and the task.
        folder: holds the shards.
        cache: where their mapped form is kept; None for the folder ``mapped`` among them.
        skip_broken: leave out shards that cannot be read.
        progress: called with the number of shards that are mapped, and of all.
        warn: called with a line for each shard that is left out.

    Raises:
        UserError: if there is no shard, one is broken and not to be skipped, or the disk is full.
    """
    paths = reader.list_shards(folder)
    cache = cache or folder / "mapped"
    require_space(reader, paths, cache)
    shards = []
    for done, path in enumerate(paths):
        progress(done, len(paths))
        mapped = MappedShard(reader, path, cache)
        try:
            data = mapped.read()
        except UserError as error:
            if not skip_broken:
                hint = "" if SKIP in str(error) else f" ({SKIP})"
                raise UserError(f"{error}{hint}") from None
            warn(f"left out: {error}")
            continue
        if data is not None:
            mapped.write(data)
        shards.append(_Shard(mapped))
    progress(len(paths), len(paths))
    if not shards:
        raise UserError(f"all {len(paths)} shards in {folder} are broken")
    return Shards(folder, shards)


class _Shard:
    """A shard, mapped."""

    def __init__(self, mapped: MappedShard):
        self.name = mapped.shard.name
        self.description = mapped.description
        self.remarks = mapped.remarks()
        self.ends = read_npz(mapped.rows, only=("ends",))["ends"].astype(np.int64)
        self.rows = MappedRows(mapped.rows, "rows")
        self.worth = MappedRows(mapped.worth, "worth")
        self.action_dim = mapped.shape().action_dim


class Shards:
    """Prior data in shards, one after another: a :class:`driftpolicy.data.transitions.Prior`.

    Transition ``k`` of episode ``e``, both counted over all shards, is row ``k + e``: every episode
    before it has one row more than transitions. So a number per episode is all that is kept in
    memory.
    """

    on_disk = True
    scaling: Scaling | None = None
    control_rate: float | None = None

    def __init__(self, folder: Path, shards: list[_Shard]):
        """Join ``shards``, at least one, each made of whole episodes."""
        self._shards = shards
        counts = [shard.rows.shape[0] for shard in shards]
        self._begins = np.cumsum([0, *counts])  # first row of each shard, and the end
        ends = [shard.ends + begin for shard, begin in zip(shards, self._begins, strict=False)]
        self._finals = np.concatenate(ends)  # last row of each episode
        self.episodes = len(self._finals)
        self._transitions = self._finals - np.arange(self.episodes)  # up to each episode's end
        self.action_dim = shards[0].action_dim
        self.observation_dim = shards[0].rows.shape[1] - self.action_dim
        if self._begins[-1] > np.iinfo(np.int32).max:
            raise UserError(f"{folder} holds {self._begins[-1]:,} rows, more than can be numbered")
        origins = sorted({str(shard.description["origin"]) for shard in shards})
        crcs = " ".join(shard.description["crc32"] for shard in shards)
        self.description: dict[str, Any] = {
            "origin": " and ".join(origins),
            "path": str(folder),
            "shards": len(shards),
            "crc32": f"{zlib.crc32(crcs.encode()):08x}",
        }
        """Who made them; ``crc32`` identifies their contents and order."""
        named: dict[str, list[str]] = {}
        for shard in shards:
            for remark in shard.remarks:
                named.setdefault(remark, []).append(shard.name)
        self.remarks = tuple(f"{text} (in {listing(who, 3)})" for text, who in named.items())
        """What is suspicious about their rows, as was found when they were converted."""

    def __len__(self) -> int:
        """Return the number of transitions."""
        return int(self._transitions[-1])

    @property
    def lengths(self) -> Int64[np.ndarray, " episodes"]:
        """The number of transitions in each episode."""
        return np.diff(self._transitions, prepend=0)

    def gather(self, drawn: Int32[np.ndarray, " windows"], length: int) -> Rows:
        """Read windows as :meth:`driftpolicy.data.transitions.Prior.gather` says."""
        episode = np.searchsorted(self._transitions, drawn, side="right")
        final = self._finals[episode][:, None]
        places = (drawn + episode)[:, None] + np.arange(length + 1)
        values = self._read(np.minimum(places, final).reshape(-1))
        return self._as_rows(*values, (places >= final).reshape(-1), len(drawn))

    def resident(self) -> Rows:
        """Return all rows on the device, where they are put once, by way of the memory."""
        return self._resident

    @cached_property
    def _resident(self) -> Rows:
        return self._first(self.episodes).resident()

    def beside_replay(self, count: int) -> "Dataset | Shards":
        """Return the first episodes that hold ``count`` transitions, in memory; for 0 all."""
        if not 0 < count < len(self):
            return self
        if count not in self._beside:
            self._beside[count] = self._first(int(np.searchsorted(self._transitions, count)) + 1)
        return self._beside[count]

    @cached_property
    def _beside(self) -> dict[int, Dataset]:
        return {}

    def _first(self, episodes: int) -> Dataset:
        """Read the first episodes into memory."""
        finals = self._finals[:episodes]
        count = int(finals[-1]) + 1
        last = np.zeros(count, bool)
        last[finals] = True
        rows = self._as_rows(*self._read(np.arange(count)), last, 0)
        return Dataset(*rows[:-1])

    def _read(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Read observations and actions, rewards and masks, of rows counted over all shards."""
        values = np.empty((len(rows), self._shards[0].rows.shape[1]), np.float32)
        worth = np.empty((len(rows), 2), np.float32)
        number = np.searchsorted(self._begins, rows, side="right") - 1
        order = np.argsort(number, kind="stable")
        bounds = np.searchsorted(number[order], np.arange(len(self._begins)))
        for i in np.flatnonzero(np.diff(bounds)):
            chosen = order[bounds[i] : bounds[i + 1]]
            shard, places = self._shards[i], rows[chosen] - self._begins[i]
            values[chosen], worth[chosen] = shard.rows.take(places), shard.worth.take(places)
            shard.rows.release()
            shard.worth.release()
        return values, worth

    def _as_rows(self, values: Any, worth: Any, last: Any, starts: int) -> Rows:
        dim = self.observation_dim
        columns = (values[:, :dim], values[:, dim:], worth[:, 0], worth[:, 1], last)
        arrays = (np.ascontiguousarray(column) for column in columns)
        return Rows(*arrays, starts=np.zeros(starts, np.int32))
