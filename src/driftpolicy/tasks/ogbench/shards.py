"""OGBench datasets in many files, of which each is an ordinary file."""

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from driftpolicy.data.files import member_shape
from driftpolicy.data.mapping import ShardShape
from driftpolicy.data.shards import Progress, Shards, map_shards
from driftpolicy.data.transitions import Dataset
from driftpolicy.errors import UserError
from driftpolicy.tasks.ogbench import dataset
from driftpolicy.tasks.task import Task


def list_shards(folder: Path) -> list[Path]:
    """Return the shards in a folder in the order of their numbers; validation data are none.

    Raises:
        UserError: if there is none.
    """
    shards = [path for path in folder.glob("*.npz") if not re.search(r"-val\b", path.stem)]
    if not shards:
        raise UserError(f"{folder} holds no file of training data (.npz)")
    return sorted(shards, key=lambda p: ([int(n) for n in re.findall(r"\d+", p.stem)], p.name))


@dataclasses.dataclass(frozen=True)
class OGBenchShards:
    """Reads shards for a task: a :class:`driftpolicy.data.mapping.ShardReader`."""

    of: Task

    @property
    def task(self) -> str:
        """The id of the environment, which decides the rewards, marked where they are sparse."""
        return self.of.environment + ("-sparse" if self.of.sparse else "")

    def list_shards(self, folder: Path) -> list[Path]:
        """List the shards in a folder in the order of their numbers."""
        return list_shards(folder)

    def describe(self, shard: Path) -> dict[str, Any]:
        """Describe who made a shard."""
        return dataset.describe(shard)

    def shape(self, shard: Path) -> ShardShape:
        """Return the size of a shard, of which only the heads of its arrays are read."""
        rows, observation_dim = member_shape(shard, "observations")
        return ShardShape(
            rows=rows,
            observation_dim=observation_dim,
            action_dim=member_shape(shard, "actions")[1],
        )

    def read(self, shard: Path) -> Dataset:
        """Read a shard and relabel it with the task's goal."""
        return dataset.load_dataset(self.of, shard)


def open_shards(
    task: Task,
    folder: Path,
    *,
    cache: Path | None = None,
    skip_broken: bool = False,
    progress: Progress = lambda done, total: None,
    warn: Callable[[str], Any] = print,
) -> Shards:
    """Map all shards of a folder for one of OGBench's tasks, whose goal decides their rewards.

    The arguments are those of :func:`driftpolicy.data.shards.map_shards`.

    Raises:
        UserError: as that function.
    """
    return map_shards(
        OGBenchShards(task),
        folder,
        cache=cache,
        skip_broken=skip_broken,
        progress=progress,
        warn=warn,
    )


def read_heads(folder: Path) -> tuple[list[tuple[Path, int]], list[str]]:
    """Return the shards of a folder with their rows, and a line for each that is broken.

    Only the heads of their arrays are read.

    Raises:
        UserError: if there is no shard.
    """
    good, broken = [], []
    for path in list_shards(folder):
        try:
            good.append((path, member_shape(path, "observations")[0]))
        except (UserError, IndexError) as error:
            broken.append(str(error))
    return good, broken
