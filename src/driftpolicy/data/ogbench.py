"""OGBench datasets: where they are, and reading one as transitions of a single task.

The published layout: ``observations, actions, terminals, qpos, qvel`` (and ``button_states`` where
the scene has buttons), T+1 rows per trajectory with ``terminals`` 1 at its last row. Rewards and
masks come from relabelling with the task's goal.
"""

import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from driftpolicy.data.files import read_npz
from driftpolicy.data.transitions import Dataset
from driftpolicy.envs.ogbench import make_simulator, reset_simulator
from driftpolicy.envs.tasks import Task
from driftpolicy.errors import UserError

PUBLISHED_FOLDER = Path("~/.ogbench/data")
COLLECTED_FOLDER = Path("data")
_REQUIRED = ("observations", "actions", "terminals", "qpos", "qvel")


def collected_path(dataset: str, folder: Path = COLLECTED_FOLDER) -> Path:
    """Where data collected on this machine are kept: never under the published set's name."""
    return folder / f"{dataset}-collected.npz"


def find_dataset(task: Task, data: str | None = None) -> Path | None:
    """The file of a task's prior data: ``data`` if given, else published, else collected, or None.

    Raises:
        UserError: if ``data`` is given and is not a file.
    """
    if data is not None:
        path = Path(data).expanduser()
        if not path.is_file():
            raise UserError(f"--data {data}: no such file")
        return path
    published = PUBLISHED_FOLDER.expanduser() / f"{task.dataset}.npz"
    for path in (published, collected_path(task.dataset)):
        if path.is_file():
            return path
    return None


def missing_dataset(task: Task) -> UserError:
    """The error that names the three ways to get a task's data."""
    return UserError(
        f"no data for {task.name}: download it (dfp data download {task.dataset}), "
        f"collect it here (dfp data collect {task.dataset}), or name a file (--data PATH)"
    )


def describe(path: Path) -> dict[str, Any]:
    """Who made a file, as far as it says: its metadata, or ``{"origin": "published"}``.

    ``crc32`` identifies the contents: the checksums of the arrays as the file lists them.

    Raises:
        UserError: if the file is no npz.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            crc32 = {entry.filename: entry.CRC for entry in archive.infolist()}
        with np.load(path, allow_pickle=False) as file:
            metadata = json.loads(str(file["metadata"])) if "metadata" in file else {}
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise UserError(f"{path} is truncated, damaged or not an npz file ({error})") from None
    digest = f"{_digest(crc32):08x}"
    return {"origin": "published", **metadata, "path": str(path), "crc32": digest}


def _digest(crc32: dict[str, int]) -> int:
    """One checksum of several, in the order of their names."""
    return zlib.crc32(json.dumps(crc32, sort_keys=True).encode())


def load_dataset(task: Task, path: Path) -> Dataset:
    """Read a file and relabel it with the task's goal.

    Raises:
        UserError: if the file is missing, truncated or foreign, made in another scene, of other
            dimensions, or holds NaN.
    """
    arrays = read_npz(path)
    absent = [name for name in _REQUIRED if name not in arrays]
    if absent:
        raise UserError(f"{path} is not an OGBench dataset: it has no {', '.join(absent)}")
    scene = describe(path).get("scene", task.family)
    if scene != task.family:
        raise UserError(f"{path} was collected in {scene}, not in {task.family}")
    simulator = make_simulator(task.environment)
    observation, info = reset_simulator(simulator, 0)
    rows = len(arrays["observations"])
    expected = {
        "observations": (rows, len(observation)),
        "actions": (rows, 5),
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
