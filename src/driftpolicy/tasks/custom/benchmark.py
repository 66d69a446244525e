"""Custom environments and recordings, as the rest of the program sees them."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from driftpolicy.envs.base import Environment
from driftpolicy.errors import UserError
from driftpolicy.tasks.benchmark import RENDER_SIZE, Benchmark, LoadedData, LoadOptions, Section
from driftpolicy.tasks.custom.tasks import BENCHMARK, CUSTOM_PREFIX, custom_task
from driftpolicy.tasks.task import Task

if TYPE_CHECKING:
    from driftpolicy.data.download import PublishedFile


class Custom(Benchmark):
    """Environments and recordings of users: a task for each environment that somebody names."""

    name = BENCHMARK

    def tasks(self) -> Mapping[str, Task]:
        """Return none: nobody can list them."""
        return {}

    def find_task(self, name: str) -> Task | None:
        """Return the task of the environment that follows the prefix."""
        environment = name.removeprefix(CUSTOM_PREFIX)
        return custom_task(environment) if environment and environment != name else None

    def optional_packages(self) -> Mapping[str, str]:
        """Return the packages that read the formats."""
        from driftpolicy.tasks.custom.formats import FORMATS

        return {package: extra for form in FORMATS for package, extra in form.packages().items()}

    def make_environment(self, task: Task, *, render_size: int = RENDER_SIZE) -> Environment:
        """Make the environment of a task, whose images have the size that it gives them.

        Raises:
            UserError: if it cannot be made.
        """
        from driftpolicy.tasks.custom.environment import GymnasiumEnvironment

        return GymnasiumEnvironment(task)

    def find_data(self, task: Task, data: str | None = None) -> Path | None:
        """Find the file or folder that ``data`` names, or the dataset in a format's library.

        Raises:
            UserError: if there is none, or ``data`` is None.
        """
        from driftpolicy.tasks.custom.dataset import find_dataset

        return find_dataset(task, data)

    def describe_data(self, path: Path) -> dict[str, Any]:
        """Describe what data are stored as."""
        from driftpolicy.tasks.custom.dataset import describe

        return describe(path)

    def load_data(self, task: Task, path: Path, options: LoadOptions) -> LoadedData:
        """Read recordings in the agent's units; what is suspicious about them comes along."""
        from driftpolicy.tasks.custom.dataset import describe, load_dataset

        return LoadedData(prior=load_dataset(task, path, options), description=describe(path))

    def holds(self, path: Path) -> bool:
        """Return whether this is a recording in one of the formats."""
        from driftpolicy.tasks.custom.formats import FORMATS

        return any(form.claims(path) for form in FORMATS)

    def inspect(
        self,
        source: str,
        task: Task | None = None,
        *,
        columns: tuple[str, ...] = (),
        skip_broken: bool = False,
    ) -> list[Section]:
        """Say what is in a recording and what is wrong with it, also for an environment."""
        from driftpolicy.tasks.custom.summary import inspect_recording

        return inspect_recording(source, task, columns, LoadOptions(skip_broken=skip_broken))

    def collected_path(self, task: Task) -> Path:
        """Raise a UserError: recordings are not collected here."""
        raise UserError(
            f"data of {task.dataset} cannot be collected here: record them (docs/robot.md)"
        )

    def published(self, task: Task) -> "PublishedFile":
        """Raise a UserError: recordings are not published."""
        raise UserError(f"nobody publishes data of {task.environment}: record them (docs/robot.md)")
