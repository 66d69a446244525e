"""Which module knows a task's data: one per benchmark, all with the same functions."""

import dataclasses
import difflib
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from driftpolicy.data.transitions import Dataset
from driftpolicy.tasks.task import TASKS, Task
from driftpolicy.errors import UserError


@dataclasses.dataclass(frozen=True)
class Published:
    """Where a dataset is published and where it is looked for."""

    server: str
    """The folder at the server."""
    name: str
    """The file's path in that folder, and in ours."""
    folder: Path
    """Where the benchmark itself keeps its data on a user's machine."""
    check: Callable[[Path], None]
    """Raises a :class:`UserError` for a file that is damaged."""


@runtime_checkable
class Source(Protocol):
    """What such a module has."""

    EPISODES: int
    """How many are collected by default."""

    def find_dataset(self, task: Task, data: str | None = None) -> Path | None:
        """The file of prior data: ``data`` if given, else published, else collected, or None."""
        ...

    def published(self, task: Task) -> Published:
        """Where a task's data are published.

        Raises:
            UserError: if they cannot be downloaded as one file.
        """
        ...

    def collected_path(self, dataset: str) -> Path:
        """Where data collected on this machine are kept: not under the published set's name."""
        ...

    def describe(self, path: Path) -> dict[str, Any]:
        """Who made a file (``origin``, ...), and ``crc32``, which identifies its contents."""
        ...

    def load_dataset(self, task: Task, path: Path, mask: str | None = None) -> Dataset:
        """Read a file as transitions of a task; ``mask`` names a selection of its episodes."""
        ...

    def collect(
        self, task: Task, path: Path, *, episodes: int, seed: int, processes: int, **options: int
    ) -> Generator[int, None, None]:
        """Collect into ``path``, atomically; yields the number of episodes done so far."""
        ...


def source_of(task: Task) -> Source:
    """The module that knows a task's data.

    Raises:
        UserError: if there is none for the task's benchmark.
    """
    if task.benchmark == "ogbench":
        from driftpolicy.tasks.ogbench import dataset as ogbench

        return ogbench
    if task.benchmark == "robomimic":
        from driftpolicy.tasks.robomimic import dataset as robomimic

        return robomimic
    if task.benchmark == "gymnasium":
        from driftpolicy.tasks.custom import dataset as own

        return own
    raise UserError(f"no data for the benchmark {task.benchmark!r}")


def find_task_of(name: str) -> Task:
    """A task by the name of its dataset, its own, or Robomimic's short one (``lift``).

    Raises:
        UserError: with the nearest names.
    """
    if name in TASKS:
        return TASKS[name]
    named = {task.dataset: task for task in reversed(TASKS.values())}
    named |= {t.family: t for t in TASKS.values() if t.benchmark == "robomimic" and t.kind == "mh"}
    if name in named:
        return named[name]
    near = difflib.get_close_matches(name, named, n=3, cutoff=0.3)
    raise UserError(f"unknown dataset {name!r}; nearest: {', '.join(near or sorted(named)[:3])}")


def first_file(data: str | None, places: Iterable[Path]) -> Path | None:
    """The file that ``data`` names, or without it the first of ``places`` that is there, or None.

    Raises:
        UserError: if ``data`` is given and is not a file.
    """
    if data is None:
        return next((path for path in places if path.is_file()), None)
    path = Path(data).expanduser()
    if not path.is_file():
        raise UserError(f"--data {data}: no such file")
    return path


def missing_dataset(task: Task) -> UserError:
    """The error that names the three ways to get a task's data."""
    return UserError(
        f"no data for {task.name}: download it (dfp data download {task.dataset}), "
        f"collect it here (dfp data collect {task.dataset}), or name a file (--data PATH)"
    )
