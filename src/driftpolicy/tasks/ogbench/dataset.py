"""OGBench datasets: where they are, and reading one as transitions of a single task.

The published layout: ``observations, actions, terminals, qpos, qvel`` (and ``button_states`` where
the scene has buttons), T+1 rows per trajectory with ``terminals`` 1 at its last row. Rewards and
masks come from relabelling with the task's goal.
"""

import json
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np

from driftpolicy.data.checks import Demands, check_episodes
from driftpolicy.data.download import PublishedFile
from driftpolicy.data.episodes import EpisodeArrays
from driftpolicy.data.files import checksums, read_npz, verify_npz
from driftpolicy.data.findings import Finding, leave_out
from driftpolicy.data.transitions import Dataset
from driftpolicy.errors import UserError
from driftpolicy.tasks.accepting import accepted_data
from driftpolicy.tasks.benchmark import LoadedData, LoadOptions, first_file
from driftpolicy.tasks.ogbench.environment import (
    ACTION_DIM,
    make_simulator,
    reset_simulator,
    sparse_rewards,
)
from driftpolicy.tasks.ogbench.places import PUBLISHED_FOLDER, collected_path
from driftpolicy.tasks.places import origin_by_place
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
    """Return who made a file, as far as it says: its metadata, or the origin by its place.

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
        "origin": origin_by_place(path, PUBLISHED_FOLDER),
        **metadata,
        "path": str(path),
        "crc32": f"{zlib.crc32(crc32):08x}",
    }


class Examined(NamedTuple):
    """What a file holds, and what is wrong with it."""

    columns: dict[str, np.ndarray]
    """The arguments of :class:`Dataset`; empty where training is refused, or without a task."""
    findings: list[Finding]
    """What is wrong with the file, for training on it."""
    broken: list[str]
    """The names of the episodes that are broken."""


def load_dataset(task: Task, path: Path, options: LoadOptions | None = None) -> Dataset:
    """Read a file and relabel it with the task's goal, as :func:`load_data` does."""
    prior = load_data(task, path, options or LoadOptions()).prior
    assert isinstance(prior, Dataset)
    return prior


def load_data(task: Task, path: Path, options: LoadOptions) -> LoadedData:
    """Read a file and relabel it with the task's goal; what is suspicious about it comes along.

    Args:
        task: one of OGBench's.
        path: of the file.
        options: ``skip_broken`` leaves out episodes that hold NaN, or lack their end.

    Raises:
        UserError: if a mask is asked for (these files have none), or the file is missing,
            truncated or foreign, made in another scene, of other dimensions, or holds NaN.
    """
    if options.mask is not None:
        raise UserError(f"OGBench's files have no masks: leave --data-mask {options.mask} out")
    found = examine(task, path, options)
    return accepted_data(
        path,
        lambda remarks: Dataset(**cast(Any, found.columns), remarks=remarks),
        findings=found.findings,
        broken=found.broken,
        description=describe(path),
    )


def examine(task: Task | None, path: Path, options: LoadOptions) -> Examined:
    """Read a file, relabel it and check it.

    Args:
        task: whose environment it is held against and whose goal decides the rewards; None where
            that is not known.
        path: of the file.
        options: as in :func:`load_data`.

    Raises:
        UserError: if the file is missing, truncated or foreign, made in another scene, or of other
            dimensions, or none of its episodes is whole.
    """
    arrays = read_arrays(path)
    simulator = _against_scene(task, path, arrays) if task else None
    for name, dimensions in (("observations", 2), ("actions", 2), ("terminals", 1)):
        if arrays[name].ndim != dimensions:
            raise UserError(f"{path}: {name} has shape {arrays[name].shape}")
    with np.errstate(over="ignore"):  # becomes infinity, which is named
        for name in ("observations", "actions"):
            arrays[name] = np.ascontiguousarray(arrays[name], np.float32)
    broken = _broken(arrays, ("observations", "actions", *(("qpos",) if task else ())))
    found = leave_out(
        {name: text for name, (_, text) in broken.items()},
        skip=options.skip_broken,
        warn=options.warn,
    )
    if found and task:  # NaN have no rewards
        return Examined({}, found, list(broken))
    if broken:
        whole = np.ones(len(arrays["terminals"]), bool)
        for rows, _ in broken.values():
            whole[rows] = False
        if not whole.any():
            raise UserError(f"{path} holds no whole episode: {next(iter(broken.values()))[1]}")
        arrays = {n: values[whole] for n, values in arrays.items() if len(values) == len(whole)}
    if task:
        _relabel(task, simulator, arrays)
    ones = np.ones(arrays["actions"].shape[1])
    demands = Demands(action_low=-ones, action_high=ones, rewards="goal")
    found += check_episodes(_episodes(arrays), demands)
    columns = {
        "observations": arrays["observations"],
        "actions": np.clip(arrays["actions"], -1.0, 1.0),
        "last": arrays["terminals"].astype(bool),
    }
    columns |= {name: arrays[name] for name in ("rewards", "masks") if task}
    return Examined(columns if task else {}, found, list(broken))


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read the arrays of a file, without its metadata.

    Raises:
        UserError: if it is truncated or foreign.
    """
    arrays = read_npz(path)
    absent = [name for name in REQUIRED if name not in arrays]
    if absent:
        raise UserError(f"{path} is not an OGBench dataset: it has no {', '.join(absent)}")
    return {name: array for name, array in arrays.items() if array.ndim or name in REQUIRED}


def _against_scene(task: Task, path: Path, arrays: dict[str, np.ndarray]) -> Any:
    """Return a simulator of a task whose scene the arrays are of.

    Raises:
        UserError: if they are of another one.
    """
    scene = describe(path).get("scene", task.family)
    if scene != task.family:
        raise UserError(f"{path}: it was collected in {scene}, not in {task.family}")
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
            raise UserError(f"{path}: it has no {name}, which {task.family} needs")
        if arrays[name].shape != shape:
            raise UserError(
                f"{path}: {name} has shape {arrays[name].shape}, {task.name} needs {shape}; "
                f"is it data of another scene?"
            )
        if arrays[name].dtype.kind not in "bfiu":
            raise UserError(f"{path}: {name} are {arrays[name].dtype}, not numbers")
    return simulator


def _relabel(task: Task, simulator: Any, arrays: dict[str, np.ndarray]) -> None:
    """Add the rewards and masks of a task's goal to arrays."""
    from ogbench.relabel_utils import relabel_dataset

    relabel_dataset(task.environment, simulator, arrays)
    if task.sparse:
        arrays["rewards"] = sparse_rewards(arrays["rewards"])


def _broken(arrays: dict[str, np.ndarray], finite: Sequence[str]) -> dict[str, tuple[slice, str]]:
    """Return the rows of each broken episode, and what is broken, by the episode's name.

    Args:
        arrays: of all rows.
        finite: the names of those that may hold neither NaN nor infinity.
    """
    ends = np.flatnonzero(arrays["terminals"])
    rows = len(arrays["terminals"])
    begins = np.append(0, ends + 1)
    found: dict[int, str] = {}
    for name in finite:
        values = arrays[name].reshape(rows, -1)
        for row in np.flatnonzero(~np.isfinite(values).all(axis=1)).tolist():
            text = f"{name} hold NaN or infinity, first in row {row}"
            found.setdefault(int(np.searchsorted(ends, row)), text)
    if begins[-1] < rows:
        found[len(ends)] = (
            f"the data does not end at an episode's end: its last {rows - begins[-1]:,} rows have "
            "no terminal 1"
        )
    borders = np.append(begins, rows)
    return {
        f"episode {k}": (slice(borders[k], borders[k + 1]), f"episode {k}: {found[k]}")
        for k in sorted(found)
    }


def _episodes(arrays: dict[str, np.ndarray]) -> Iterator[EpisodeArrays]:
    """Yield the episodes with a step, as the checks see them."""
    begin = 0
    for number, end in enumerate(np.flatnonzero(arrays["terminals"])):
        steps, begin = slice(begin, end), end + 1
        if steps.start == end:
            continue
        labels = {name: arrays[name][steps] for name in ("rewards", "masks") if name in arrays}
        success = labels["masks"] == 0 if "masks" in labels else None
        yield EpisodeArrays(
            name=f"episode {number}",
            observations=arrays["observations"][steps.start : end + 1],
            actions=arrays["actions"][steps],
            rewards=labels.get("rewards"),
            terminated=success is not None and bool(success.any()),
            success=success,
        )
