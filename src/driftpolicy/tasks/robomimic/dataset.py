"""Robomimic's datasets: where they are, and reading one as transitions of a task.

Rewards and ends follow the published protocol, whatever the file says: success - 1, and a
demonstration ends where it first succeeds, as an episode of the environment does.
"""

from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np

from driftpolicy.tasks.robomimic.demonstrations import Demo, DemoFile, Replayer
from driftpolicy.tasks.benchmark import Published, first_file
from driftpolicy.data.transitions import Dataset
from driftpolicy.tasks.task import Task
from driftpolicy.errors import UserError

BASE_URL = "https://huggingface.co/datasets/amandlek/robomimic/resolve/main/v1.5"
PUBLISHED_FOLDER = Path("~/.robomimic")
COLLECTED_FOLDER = Path("data")
EPISODES: int = 300
"""Demonstrations collected by default, as many as a multi-human set has."""
VERSIONS = ("_v15", "_v141", "")
"""Of the layout, in the files' names, the newest first."""


def collected_path(dataset: str, folder: Path = COLLECTED_FOLDER) -> Path:
    """Where demonstrations collected on this machine are kept."""
    return folder / f"{dataset}-collected.hdf5"


def published(task: Task) -> Published:
    """Where a task's data are published."""
    return Published(BASE_URL, _published_names(task)[0], PUBLISHED_FOLDER, verify)


def _published_names(task: Task) -> list[str]:
    """Where Robomimic itself keeps a task's file, the newest layout first."""
    name = "low_dim_sparse" if task.kind == "mg" else "low_dim"
    return [f"{task.family}/{task.kind}/{name}{version}.hdf5" for version in VERSIONS]


def verify(path: Path) -> None:
    """Read all of a file.

    Raises:
        UserError: if it is damaged.
    """
    with DemoFile(path) as file:
        try:
            for name in file.names:
                file.demo(name)
        except OSError as error:
            raise UserError(f"{path} is damaged: {error}") from None


def find_dataset(task: Task, data: str | None = None) -> Path | None:
    """The file of a task's prior data: ``data`` if given, else published, else collected, or None.

    Raises:
        UserError: if ``data`` is given and is not a file.
    """
    folder = PUBLISHED_FOLDER.expanduser()
    places = [folder / name for name in _published_names(task)]
    return first_file(data, [*places, collected_path(task.dataset)])


def describe(path: Path) -> dict[str, Any]:
    """Who made a file, as far as it says.

    Raises:
        UserError: if it is no file of demonstrations.
    """
    with DemoFile(path) as file:
        told = {"origin": "published", **file.description, "path": str(path)}
        return {**told, "crc32": file.crc32()}


def load_dataset(task: Task, path: Path, mask: str | None = None) -> Dataset:
    """Read a file as transitions of a task.

    Args:
        task: one of Robomimic's.
        path: of the file.
        mask: only the demonstrations of this mask.

    Raises:
        UserError: if the file is foreign, of another environment, lacks something, or holds NaN.
    """
    rows: dict[str, list[np.ndarray]] = {}
    with DemoFile(path) as file:
        if file.environment != task.environment:
            raise UserError(f"{path} is of {file.environment}, {task.name} is {task.environment}")
        replayer: Replayer | None = None
        for name in file.select(mask):
            demo = file.demo(name)
            if demo.observations is None or demo.rewards is None:
                replayer = replayer or Replayer(file)
                demo = replayer.complete(demo)
            for column, values in _transitions(demo).items():
                rows.setdefault(column, []).append(values)
    for column in ("observations", "actions"):
        widths = {part.shape[1] for part in rows[column]}
        if len(widths) > 1:
            raise UserError(f"{path}: its demonstrations have {column} of {sorted(widths)} numbers")
    try:
        columns: dict[str, Any] = {name: np.concatenate(parts) for name, parts in rows.items()}
        return Dataset(**columns)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _transitions(demo: Demo) -> dict[str, np.ndarray]:
    """Rows in the layout of :class:`Dataset`, up to the first success."""
    assert demo.observations is not None
    assert demo.rewards is not None
    success = demo.rewards >= 1.0
    steps = int(success.argmax()) + 1 if success.any() else len(success)
    ended = success[:steps].astype(np.float32)
    actions = demo.actions[:steps].clip(-1.0, 1.0).astype(np.float32)
    columns = {"actions": actions, "rewards": ended - 1.0, "masks": 1.0 - ended}
    padded = {name: np.concatenate([v, np.zeros_like(v[:1])]) for name, v in columns.items()}
    last = np.arange(steps + 1) == steps
    return {"observations": demo.observations[: steps + 1], **padded, "last": last}


def collect(
    task: Task, path: Path, *, episodes: int, seed: int, processes: int, **options: int
) -> Generator[int, None, None]:
    """As :func:`driftpolicy.tasks.robomimic.collect.collect`.

    Raises:
        UserError: for any further option: demonstrations end with their success.
    """
    from driftpolicy.tasks.robomimic import collect as demonstrate

    for name in options:
        raise UserError(f"--{name.replace('_', '-')} is of OGBench's data only")

    return demonstrate.collect(
        task.environment, path, episodes=episodes, seed=seed, processes=processes
    )
