"""Robomimic, as the rest of the program sees it."""

from collections.abc import Callable, Generator, Mapping
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
    Verification,
)
from driftpolicy.tasks.robomimic.tasks import BENCHMARK, CONTROL_RATE, TASKS
from driftpolicy.tasks.task import Task

if TYPE_CHECKING:
    from driftpolicy.data.download import PublishedFile

_SHORT_NAMES_OF = "mh"  # the kind of data that a scene's name alone stands for
_SIZES = (3, 4, 2)  # of the parts of an observation but the last, the object


class Robomimic(Benchmark):
    """Robomimic's tasks (arXiv 2108.03298), simulated by robosuite."""

    name = BENCHMARK
    control_rate = float(CONTROL_RATE)
    collected_episodes = 300  # as many demonstrations as a multi-human set has
    masks = True
    verifies = True

    def tasks(self) -> Mapping[str, Task]:
        """Return the tasks by their names."""
        return TASKS

    def datasets(self) -> Mapping[str, Task]:
        """Return the task of each dataset; ``lift`` is short for the multi-human one."""
        short = {task.family: task for task in TASKS.values() if task.kind == _SHORT_NAMES_OF}
        return {**super().datasets(), **short}

    def optional_packages(self) -> Mapping[str, str]:
        """Return the package of the simulator."""
        return {"robosuite": "robomimic"}

    def make_environment(self, task: Task, *, render_size: int = RENDER_SIZE) -> Environment:
        """Make the environment of a task.

        Raises:
            UserError: if robosuite is not installed.
        """
        from driftpolicy.tasks.robomimic.environment import RobomimicEnvironment

        return RobomimicEnvironment(task, render_size)

    def observation_parts(self, task: Task, dim: int) -> Parts | None:
        """Return the parts of an observation, of which the object has what is left."""
        from driftpolicy.tasks.robomimic.environment import OBSERVATION_KEYS

        sizes = (*_SIZES, dim - sum(_SIZES))
        return [list(part) for part in zip(OBSERVATION_KEYS, sizes, strict=True)]

    def find_data(self, task: Task, data: str | None = None) -> Path | None:
        """Find the published file, else a collected one."""
        from driftpolicy.tasks.robomimic.dataset import find_dataset

        return find_dataset(task, data)

    def describe_data(self, path: Path) -> dict[str, Any]:
        """Describe who made a file."""
        from driftpolicy.tasks.robomimic.dataset import describe

        return describe(path)

    def load_data(self, task: Task, path: Path, options: LoadOptions) -> LoadedData:
        """Read a file, or the demonstrations of a mask in it."""
        from driftpolicy.tasks.robomimic.dataset import load_data

        return load_data(task, path, options)

    def holds(self, path: Path) -> bool:
        """Return whether this is an HDF5 file."""
        return path.is_file() and path.suffix in HDF5_SUFFIXES

    def inspect(
        self,
        source: str,
        task: Task | None = None,
        *,
        columns: tuple[str, ...] = (),
        skip_broken: bool = False,
    ) -> list[Section]:
        """Say what is in a file of demonstrations, and what is wrong with it."""
        from driftpolicy.tasks.robomimic.summary import inspect_file

        self.refuse_columns(source, columns)
        return inspect_file(Path(source).expanduser(), task, LoadOptions(skip_broken=skip_broken))

    def verify(
        self, path: Path, count: int, progress: Callable[[int], object] = lambda done: None
    ) -> Verification:
        """Replay the first ``count`` demonstrations of a file in robosuite."""
        from driftpolicy.tasks.robomimic.checks import mismatches
        from driftpolicy.tasks.robomimic.demonstrations import DemoFile
        from driftpolicy.tasks.robomimic.verify import replay

        with DemoFile(path) as file:
            demonstrations = []
            for one in replay(file, file.names[:count]):
                demonstrations.append(one)
                progress(len(demonstrations))
            return Verification(mismatches=mismatches(file), demonstrations=demonstrations)

    def collected_path(self, task: Task) -> Path:
        """Return where demonstrations collected on this machine are kept."""
        from driftpolicy.tasks.robomimic.dataset import collected_path

        return collected_path(task.dataset)

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
        """Collect successful demonstrations by scripted operators.

        Raises:
            UserError: if ``episode_steps`` is given: demonstrations end with their success.
        """
        from driftpolicy.tasks.robomimic import collect as collecting

        if episode_steps is not None:
            raise UserError("--episode-steps is of OGBench's data only")
        return collecting.collect(
            task.environment, path, episodes=episodes, seed=seed, processes=processes
        )

    def published(self, task: Task) -> "PublishedFile":
        """Return where a task's data are published."""
        from driftpolicy.tasks.robomimic.dataset import published

        return published(task)
