"""OGBench, as the rest of the program sees it."""

from collections.abc import Generator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from driftpolicy.envs.base import Environment
from driftpolicy.errors import UserError
from driftpolicy.tasks.benchmark import (
    HDF5_SUFFIXES,
    RENDER_SIZE,
    Benchmark,
    LoadedData,
    LoadOptions,
    Parts,
    Section,
)
from driftpolicy.tasks.ogbench import places
from driftpolicy.tasks.ogbench.observation import observation_parts
from driftpolicy.tasks.ogbench.tasks import BENCHMARK, CONTROL_RATE, TASKS
from driftpolicy.tasks.task import Task

if TYPE_CHECKING:
    from driftpolicy.data.download import PublishedFile


class OGBench(Benchmark):
    """OGBench's manipulation tasks (arXiv 2410.20092)."""

    name = BENCHMARK
    control_rate = CONTROL_RATE
    collected_episodes = 100

    def tasks(self) -> Mapping[str, Task]:
        """Return the tasks by their names."""
        return TASKS

    def doctor_rows(self) -> list[tuple[str, str]]:
        """Return how many files of data there are."""
        rows = []
        for name, folder in (
            ("published", places.PUBLISHED_FOLDER),
            ("collected", places.COLLECTED_FOLDER),
        ):
            files = sorted(folder.expanduser().glob("*.npz"))
            rows.append((f"{name} data", f"{len(files)} files in {folder}"))
        return rows

    def make_environment(self, task: Task, *, render_size: int = RENDER_SIZE) -> Environment:
        """Make the environment of a task."""
        from driftpolicy.tasks.ogbench.environment import OGBenchEnvironment

        return OGBenchEnvironment(task, render_size)

    def observation_parts(self, task: Task, dim: int) -> Parts | None:
        """Return the parts of an observation; None if it is another than OGBench 1.2 has."""
        return observation_parts(task.family, dim)

    def find_data(self, task: Task, data: str | None = None) -> Path | None:
        """Find the published data, else collected ones: a file, or a folder of shards."""
        from driftpolicy.tasks.ogbench.dataset import find_dataset

        return find_dataset(task, data)

    def describe_data(self, path: Path) -> dict[str, Any]:
        """Describe who made a file."""
        from driftpolicy.tasks.ogbench.dataset import describe

        return describe(path)

    def load_data(self, task: Task, path: Path, options: LoadOptions) -> LoadedData:
        """Read a file, or map a folder of shards, with the rewards of the task's goal."""
        from driftpolicy.tasks.ogbench.dataset import load_data
        from driftpolicy.tasks.ogbench.shards import open_shards

        if not path.is_dir():
            return load_data(task, path, options)
        shards = open_shards(
            task,
            path,
            cache=options.cache,
            skip_broken=options.skip_broken,
            progress=options.progress,
            warn=options.warn,
        )
        return LoadedData(prior=shards, description=shards.description)

    def holds(self, path: Path) -> bool:
        """Return whether this is a file that is not HDF5, or a folder with npz files."""
        if path.is_file():
            return path.suffix not in HDF5_SUFFIXES
        return any(path.glob("*.npz"))

    def inspect(
        self,
        source: str,
        task: Task | None = None,
        *,
        columns: tuple[str, ...] = (),
        skip_broken: bool = False,
    ) -> list[Section]:
        """Say what is in a file or in a folder of shards."""
        from driftpolicy.tasks.ogbench.summary import inspect_file, inspect_shards

        self.refuse_columns(source, columns)
        path = Path(source).expanduser()
        if not path.is_dir():
            return inspect_file(path, task, LoadOptions(skip_broken=skip_broken))
        if task is not None:
            raise UserError(f"--task takes one file: inspect a shard of {path}")
        return inspect_shards(path)

    def collected_path(self, task: Task) -> Path:
        """Return where data collected on this machine are kept."""
        return places.collected_path(task.dataset)

    def collect(
        self,
        task: Task,
        path: Path,
        *,
        episodes: int,
        seed: int,
        processes: int,
        episode_steps: int | None = None,
    ) -> Generator[int, None, None]:
        """Collect data with OGBench's oracles."""
        from driftpolicy.tasks.ogbench import collect as collecting

        chosen = {} if episode_steps is None else {"episode_steps": episode_steps}
        return collecting.collect(
            task.family,
            task.kind,
            path,
            episodes=episodes,
            seed=seed,
            processes=processes,
            **chosen,
        )

    def published(self, task: Task) -> "PublishedFile":
        """Return where a task's data are published."""
        from driftpolicy.tasks.ogbench.dataset import published

        return published(task)
