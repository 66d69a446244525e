"""Robomimic's datasets: where they are, and reading one as transitions of a task.

Rewards and ends follow the published protocol, whatever the file says: success - 1, and a
demonstration ends where it first succeeds, as an episode of the environment does.
"""

from pathlib import Path
from typing import Any

import numpy as np

from driftpolicy.data.download import PublishedFile
from driftpolicy.data.transitions import Dataset
from driftpolicy.errors import UserError
from driftpolicy.tasks.benchmark import first_file
from driftpolicy.tasks.robomimic.demonstrations import Demo, DemoFile, Replayer
from driftpolicy.tasks.task import Task

BASE_URL = "https://huggingface.co/datasets/amandlek/robomimic/resolve/main/v1.5"
PUBLISHED_FOLDER = Path("~/.robomimic")
COLLECTED_FOLDER = Path("data")
VERSIONS = ("_v15", "_v141", "")
"""Of the layout, in the files' names, the newest first."""
_FILES = {"ph": "low_dim", "mh": "low_dim", "mg": "low_dim_sparse"}
"""How the file of each kind of data is called."""


def collected_path(dataset: str, folder: Path = COLLECTED_FOLDER) -> Path:
    """Return where demonstrations collected on this machine are kept."""
    return folder / f"{dataset}-collected.hdf5"


def published(task: Task) -> PublishedFile:
    """Return where a task's data are published."""
    return PublishedFile(
        dataset=task.dataset,
        server=BASE_URL,
        name=_published_names(task)[0],
        folder=PUBLISHED_FOLDER,
        check=check_file,
    )


def _published_names(task: Task) -> list[str]:
    """Return where Robomimic itself keeps a task's file, the newest layout first."""
    name = _FILES[task.kind]
    return [f"{task.family}/{task.kind}/{name}{version}.hdf5" for version in VERSIONS]


def check_file(path: Path) -> None:
    """Read all of a file once.

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
    """Return a task's prior data: ``data`` if given, else published, else collected, or None.

    Raises:
        UserError: if ``data`` is given and is not a file.
    """
    folder = PUBLISHED_FOLDER.expanduser()
    places = [folder / name for name in _published_names(task)]
    return first_file(data, [*places, collected_path(task.dataset)])


def describe(path: Path) -> dict[str, Any]:
    """Describe who made a file, as far as it says.

    Raises:
        UserError: if it is no file of demonstrations.
    """
    with DemoFile(path) as file:
        maker = {"origin": "published", **file.description}
        return {**maker, "path": str(path), "crc32": file.crc32()}


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
    """Return rows in the layout of :class:`Dataset`, up to the first success."""
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
