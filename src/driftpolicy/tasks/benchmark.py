"""The contract of a benchmark: all that the rest of the program asks of a place with tasks.

There is one such object for each folder beside this file. ``docs/extending.md`` shows how to write
another one.
"""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from driftpolicy.data.findings import Finding
from driftpolicy.envs.base import Environment
from driftpolicy.errors import UserError
from driftpolicy.tasks.task import Task

if TYPE_CHECKING:  # these import JAX, which environment processes live without
    from driftpolicy.data.download import PublishedFile
    from driftpolicy.data.transitions import Prior

RENDER_SIZE = 480
"""Width and height of images in pixels, unless somebody asks for another size."""
HDF5_SUFFIXES = (".hdf5", ".h5")
"""How the names of HDF5 files end."""
Parts = list[list[Any]]
"""Name and size of each part of an observation, in their order."""
Section = dict[str, str]
"""Rows of a table, a name and a text each, that belong together."""


class Checks(Section):
    """The section that says what the checks of data have found."""

    refused: bool
    """Whether that forbids training."""

    def __init__(self, findings: Iterable[Finding]):
        """Say each finding in a line, whether it is a refusal or a warning."""
        found = list(findings)
        lines = [("refused: " if f.refused else "warning: ") + f.text for f in found]
        super().__init__({"checks": "\n".join(lines) or "passed"})
        self.refused = any(finding.refused for finding in found)


class LoadedData(NamedTuple):
    """Prior data and where they come from."""

    prior: "Prior"
    description: dict[str, Any]
    """Who made them (``origin``, ...); ``crc32`` identifies their contents."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoadOptions:
    """How prior data are read."""

    mask: str | None = None
    """The name of a selection of episodes; None: all of them."""
    cache: Path | None = None
    """A folder for the memory-mapped form of shards; None: beside them."""
    skip_broken: bool = False
    """Whether to leave out shards and episodes that are broken."""
    progress: Callable[[int, int], None] = lambda done, total: None
    """Called with the number of shards that are ready, and of all, where there are shards."""
    warn: Callable[[str], object] = print
    """Called with a line for each shard or episode that is left out."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReplayedDemonstration:
    """One demonstration, recorded and replayed from its first state."""

    name: str
    steps: int
    divergence: tuple[float, ...]
    """Greatest difference of a position (metres, radians) from the recording after 1, 10, 100
    steps and at the end."""
    observation: float
    """Greatest difference of a recorded observation from what its recorded state shows here; NaN
    where the file holds no observations."""
    recorded_success: bool
    """Whether the recording ends in a success, judged here."""
    replayed_success: bool
    """Whether the replay succeeds at any step."""


class Verification(NamedTuple):
    """Whether recorded actions mean the same in the simulator that is installed."""

    mismatches: list[str]
    """Differences between the recorded and the installed simulator, a line each."""
    demonstrations: list[ReplayedDemonstration]


class Benchmark(ABC):
    """A place that tasks come from.

    What is abstract every benchmark has to say; the rest has a default, which says that there is
    no such thing. The object holds nothing that changes. It is pickled into environment processes,
    where nothing but :meth:`make_environment` is called, so a module that defines one imports
    neither JAX nor a simulator before a method needs it.
    """

    name: str
    """As :attr:`driftpolicy.tasks.task.Task.benchmark` of its tasks has it."""
    control_rate: float | None = None
    """Steps per second in all its environments; None where they differ or nobody knows."""
    collected_episodes: int = 0
    """How many episodes are collected where no number is given."""
    masks: bool = False
    """Whether its files have masks, named selections of their demonstrations."""
    verifies: bool = False
    """Whether :meth:`verify` can replay its data."""

    # Tasks.

    @abstractmethod
    def tasks(self) -> Mapping[str, Task]:
        """Return the tasks to be listed, by their names."""

    def find_task(self, name: str) -> Task | None:
        """Return the task of this name, listed or not; None if there is none."""
        return self.tasks().get(name)

    def datasets(self) -> Mapping[str, Task]:
        """Return the first task of each dataset, by the names that the dataset goes by."""
        return {task.dataset: task for task in reversed(list(self.tasks().values()))}

    def optional_packages(self) -> Mapping[str, str]:
        """Return the packages it can make use of, each with the extra that installs it."""
        return {}

    def doctor_rows(self) -> list[tuple[str, str]]:
        """Return what ``dfp doctor`` shows of it, a name and a text a row."""
        return []

    # Environments.

    @abstractmethod
    def make_environment(self, task: Task, *, render_size: int = RENDER_SIZE) -> Environment:
        """Make the environment of a task.

        Args:
            task: one of this benchmark's.
            render_size: width and height of its images in pixels, where they can be chosen.

        Raises:
            UserError: if the simulator is not installed, saying how to install it.
        """

    def observation_parts(self, task: Task, dim: int) -> Parts | None:
        """Return the parts of an observation, in their order.

        Args:
            task: one of this benchmark's.
            dim: the numbers in an observation.

        Returns:
            Parts whose sizes add up to ``dim``; None where they are not known.
        """
        return None

    # Prior data.

    @abstractmethod
    def find_data(self, task: Task, data: str | None = None) -> Path | None:
        """Find the file or folder of a task's prior data.

        Args:
            task: one of this benchmark's.
            data: where a user says that they are; None looks where they are kept.

        Returns:
            Where they are; None if they are in none of the places where they are kept.

        Raises:
            UserError: if ``data`` is given and there is nothing.
        """

    @abstractmethod
    def describe_data(self, path: Path) -> dict[str, Any]:
        """Describe who made the data in a file (``origin``, ...).

        ``crc32`` identifies their contents.

        Raises:
            UserError: if they cannot be read, or are a folder of shards, which only
                :meth:`load_data` describes.
        """

    @abstractmethod
    def load_data(self, task: Task, path: Path, options: LoadOptions) -> LoadedData:
        """Read prior data as transitions of a task.

        Raises:
            UserError: if they cannot be read, or are not of this task.
        """

    def holds(self, path: Path) -> bool:
        """Return whether a file or folder is, at a glance, data of this benchmark."""
        return False

    def inspect(
        self,
        source: str,
        task: Task | None = None,
        *,
        columns: tuple[str, ...] = (),
        skip_broken: bool = False,
    ) -> list[Section]:
        """Say what is in a file or folder, in the sections of a table.

        Args:
            source: a path, or another name by which the benchmark knows data.
            task: whose rewards, or whose environment, to compare them with.
            columns: what the observation and the action are made of, as ``observation=state,goal``;
                () is the format's choice.
            skip_broken: whether to leave out episodes that are broken, printing a line for each.

        Raises:
            UserError: if they cannot be read or are not of this task, or if columns are given of
                data whose columns cannot be chosen.
        """
        raise UserError(f"{source}: data of {self.name} cannot be inspected")

    def refuse_columns(self, source: str, columns: tuple[str, ...]) -> None:
        """Raise a UserError if there are any ``columns``: those of its data cannot be chosen."""
        if columns:
            raise UserError(
                f"{source} is data of {self.name}: --columns is of data of your own (--env)"
            )

    def verify(
        self, path: Path, count: int, progress: Callable[[int], object] = lambda done: None
    ) -> Verification:
        """Replay the first ``count`` demonstrations of a file in the simulator.

        Args:
            path: of the file.
            count: how many.
            progress: called with the number of demonstrations done.

        Raises:
            UserError: if they cannot be read or replayed.
        """
        raise UserError(f"{path}: data of {self.name} cannot be replayed")

    # Collecting and downloading.

    def collected_path(self, task: Task) -> Path:
        """Return where data collected on this machine are kept.

        That is not under the published set's name.

        Raises:
            UserError: if none can be collected.
        """
        raise UserError(f"data of {task.dataset} cannot be collected here")

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
        """Collect data into a file, atomically.

        Args:
            task: one of this benchmark's.
            path: of the file.
            episodes: how many.
            seed: the same seed gives the same data.
            processes: how many collect at once, which does not change the data.
            episode_steps: observations per episode; None for the usual number.

        Yields:
            The number of episodes done so far.

        Raises:
            UserError: for a number out of range, or a full disk.
        """
        self.collected_path(task)
        yield 0

    def published(self, task: Task) -> "PublishedFile":
        """Return where a task's data are published.

        Raises:
            UserError: if they are not, or not as one file.
        """
        raise UserError(f"nobody publishes data of {task.environment}")


def first_file(data: str | None, places: Iterable[Path]) -> Path | None:
    """Return the file that ``data`` names, or without it the first of ``places`` that is there.

    Raises:
        UserError: if ``data`` is given and is not a file.
    """
    if data is None:
        return next((path for path in places if path.is_file()), None)
    path = Path(data).expanduser()
    if not path.is_file():
        raise UserError(f"--data {data}: no such file")
    return path
