"""OGBench datasets: where they are, and reading one as transitions of a single task.

The published layout: ``observations, actions, terminals, qpos, qvel`` (and ``button_states`` where
the scene has buttons), T+1 rows per trajectory with ``terminals`` 1 at its last row. Rewards and
masks come from relabelling with the task's goal.
"""

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from driftpolicy.data.download import PublishedFile
from driftpolicy.data.files import checksums, read_npz, verify_npz
from driftpolicy.data.transitions import Dataset
from driftpolicy.errors import UserError
from driftpolicy.tasks.benchmark import first_file
from driftpolicy.tasks.ogbench.environment import ACTION_DIM, make_simulator, reset_simulator
from driftpolicy.tasks.ogbench.places import PUBLISHED_FOLDER, collected_path
from driftpolicy.tasks.task import Task

BASE_URL = "https://rail.eecs.berkeley.edu/datasets/ogbench"
REQUIRED = ("observations", "actions", "terminals", "qpos", "qvel")
_IN_SHARDS = "play-100m"  # the kind of data that is published in many files


def published(task: Task) -> PublishedFile:
    """Return where a task's data are published.

    Raises:
        UserError: for the set of 100 shards.
    """
    if task.kind == _IN_SHARDS:
        raise UserError(
            f"{task.dataset} is published in 100 shards, which this command does not download: put "
            f"them into {PUBLISHED_FOLDER}/{task.dataset}, or name their folder (--data FOLDER)"
        )
    return PublishedFile(
        dataset=task.dataset,
        server=BASE_URL,
        name=f"{task.dataset}.npz",
        folder=PUBLISHED_FOLDER,
        check=verify_npz,
    )


def find_dataset(task: Task, data: str | None = None) -> Path | None:
    """Return a task's prior data: ``data`` if given, else published, else collected, or None.

    They are a file, or a folder of shards.

    Raises:
        UserError: if ``data`` is given and is neither.
    """
    if data is not None and Path(data).expanduser().is_dir():
        return Path(data).expanduser()
    downloaded = PUBLISHED_FOLDER.expanduser()
    shards = downloaded / task.dataset
    if data is None and any(shards.glob("*.npz")):
        return shards
    return first_file(data, (downloaded / f"{task.dataset}.npz", collected_path(task.dataset)))


def describe(path: Path) -> dict[str, Any]:
    """Return who made a file, as far as it says: its metadata, or ``{"origin": "published"}``.

    ``crc32`` identifies the contents: the checksums of the arrays as the file lists them.

    Raises:
        UserError: if the file is no npz, or its metadata are not ours.
    """
    crc32 = json.dumps(checksums(path), sort_keys=True).encode()
    try:
        stored = read_npz(path, only=("metadata",)).get("metadata", "{}")
        metadata = dict(json.loads(str(stored)))
    except (ValueError, TypeError):
        raise UserError(f"{path}: its metadata are not of this program") from None
    return {
        "origin": "published",
        **metadata,
        "path": str(path),
        "crc32": f"{zlib.crc32(crc32):08x}",
    }


def load_dataset(task: Task, path: Path, mask: str | None = None) -> Dataset:
    """Read a file and relabel it with the task's goal.

    Raises:
        UserError: if a mask is asked for (these files have none), or the file is missing,
            truncated or foreign, made in another scene, of other dimensions, or holds NaN.
    """
    if mask is not None:
        raise UserError(f"OGBench's files have no masks: leave --data-mask {mask} out")
    arrays = read_npz(path)
    absent = [name for name in REQUIRED if name not in arrays]
    if absent:
        raise UserError(f"{path} is not an OGBench dataset: it has no {', '.join(absent)}")
    scene = describe(path).get("scene", task.family)
    if scene != task.family:
        raise UserError(f"{path} was collected in {scene}, not in {task.family}")
    simulator = make_simulator(task.environment)
    observation, info = reset_simulator(simulator, 0)
    rows = arrays["observations"].shape[0] if arrays["observations"].ndim else 0
    expected = {
        "observations": (rows, len(observation)),
        "actions": (rows, ACTION_DIM),
        "terminals": (rows,),
        "qpos": (rows, len(info["qpos"])),
        "qvel": (rows, len(info["qvel"])),
    }
    if "button_states" in info:
        expected["button_states"] = (rows, len(info["button_states"]))
    for name, shape in expected.items():
        if name not in arrays:
            raise UserError(f"{path} has no {name}, which {task.family} needs")
        if arrays[name].shape != shape:
            raise UserError(
                f"{path}: {name} has shape {arrays[name].shape}, {task.name} needs {shape}; "
                f"is it data of another scene?"
            )
        if arrays[name].dtype.kind not in "bfiu":
            raise UserError(f"{path}: {name} are {arrays[name].dtype}, not numbers")
    if not np.isfinite(arrays["qpos"]).all():  # rewards come from it
        raise UserError(f"{path}: the data's qpos hold NaN or infinity")
    from ogbench.relabel_utils import relabel_dataset

    relabel_dataset(task.environment, simulator, arrays)
    try:
        return Dataset(
            np.ascontiguousarray(arrays["observations"], np.float32),
            np.clip(np.ascontiguousarray(arrays["actions"], np.float32), -1.0, 1.0),
            arrays["rewards"],
            arrays["masks"],
            arrays["terminals"].astype(bool),
        )
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
