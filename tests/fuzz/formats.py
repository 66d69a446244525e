"""Damaged files of every format of recordings: refused in one line, or read as they are.

A trial damages a small good file as its seed says, inspects it and reads it. Where checksums guard
the numbers (npz, and the pages of Parquet that were written with them) an accepted file must hold
exactly the numbers of the good one. HDF5 and zarr have none, so there they may differ; what is
accepted must fit together all the same.
"""

import atexit
import functools
import shutil
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from driftpolicy.errors import UserError
from driftpolicy.tasks.benchmark import LoadOptions
from driftpolicy.tasks.custom.formats import format_of
from driftpolicy.tasks.custom.recording import Recording
from driftpolicy.tasks.custom.stored import ReadOptions
from driftpolicy.tasks.custom.summary import inspect_recording
from tests.fuzz.mutations import mutate_arrays, mutate_bytes, mutate_folder
from tests.tasks.custom.recordings import demonstrate, write_lerobot, write_minari

Arrays = dict[str, np.ndarray]
REFUSED, SAME, CHANGED = "refused", "the same numbers", "other numbers"
EPISODES = [
    episode | {"terminations": np.eye(len(episode["actions"]))[-1] > 0}
    for episode in demonstrate(3)
]


def plain() -> Arrays:
    arrays = {f"episode_{i}/{n}": v for i, e in enumerate(EPISODES) for n, v in e.items()}
    return arrays | {"control_rate": np.array(10.0)}


def flat() -> Arrays:
    ends = np.concatenate([episode["terminations"] for episode in EPISODES])
    return {
        "observations": np.concatenate([e["observations"][:-1] for e in EPISODES]),
        "next_observations": np.concatenate([e["observations"][1:] for e in EPISODES]),
        "actions": np.concatenate([e["actions"] for e in EPISODES]),
        "rewards": np.concatenate([e["rewards"] for e in EPISODES]),
        "terminals": ends,
        "timeouts": np.zeros(len(ends), bool),
    }


def replay_buffer() -> Arrays:
    steps = [len(episode["actions"]) for episode in EPISODES]
    return {
        "data/state": np.concatenate([e["observations"][:-1] for e in EPISODES]),
        "data/action": np.concatenate([e["actions"] for e in EPISODES]),
        "meta/episode_ends": np.cumsum(steps),
    }


def demonstrations() -> Arrays:
    arrays = {}
    for number, episode in enumerate(EPISODES):
        seen, head = episode["observations"], f"data/demo_{number}"
        parts = {"actions": episode["actions"], "rewards": episode["rewards"]}
        parts |= {"obs/x": seen[:-1], "next_obs/x": seen[1:]}
        arrays |= {f"{head}/{name}": values for name, values in parts.items()}
    return arrays


LAYOUTS: dict[str, Callable[[], Arrays]] = {
    "plain": plain,
    "flat": flat,
    "replay_buffer": replay_buffer,
    "demonstrations": demonstrations,
}


def write_arrays(path: Path, arrays: Arrays) -> Path:
    """Store arrays in a file of the kind that its name says, or in a zarr folder."""
    if path.suffix == ".npz":
        np.savez(path, **arrays)
    elif path.suffix == ".zarr":
        import zarr

        group = zarr.open_group(str(path), mode="w", zarr_format=2)
        for name, values in arrays.items():
            array = group.create_array(name, shape=values.shape, dtype=values.dtype)
            array[...] = values
    else:
        import h5py

        with h5py.File(path, "w") as file:
            for name, values in arrays.items():
                file[name] = values
    return path


@functools.cache
def good(name: str, writer: Callable[[Path], Path]) -> tuple[Path, list[Any]]:
    """Return a good file or folder, and what is in it."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = writer(folder)
    return path, numbers(format_of(path).read(path))


def numbers(recording: Recording) -> list[Any]:
    """Return all numbers that training reads, to be compared."""
    return [
        None if part is None else (part.shape, part.tobytes())
        for one in recording.trajectories
        for part in (one.observations, one.actions, one.rewards, one.success)
    ] + [[one.terminated for one in recording.trajectories]]


def attempt(path: Path, expected: list[Any]) -> str:
    """Inspect and read a file; return what came of it.

    Raises:
        AssertionError: for an error that is not one line, or episodes that do not fit.
        Exception: anything but a UserError, which is a fault.
    """
    message = ""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            inspect_recording(str(path), None, (), LoadOptions(warn=lambda line: None))
            options = ReadOptions(skip_broken=True, warn=lambda line: None)
            format_of(path).read(path, options)
            recording = format_of(path).read(path)
        except UserError as error:
            message = str(error)
    if message:
        assert "\n" not in message
        assert len(message) < 3000, message
        return REFUSED
    for one in recording.trajectories:
        assert len(one.observations) == len(one.actions) + 1 > 1
        assert one.observations.dtype == one.actions.dtype == np.float32
        assert one.success is None or one.success.shape == (len(one.actions),)
    return SAME if numbers(recording) == expected else CHANGED


def of_file(
    layout: str, suffix: str, rng: np.random.Generator, folder: Path
) -> tuple[str, str, bool]:
    """Damage the bytes or the arrays of one file."""
    arrays = LAYOUTS[layout]()
    source, expected = good(
        layout + suffix, functools.partial(_write_layout, layout=layout, suffix=suffix)
    )
    path = folder / source.name
    if rng.random() < 0.7:
        what, data = mutate_bytes(source.read_bytes(), rng)
        path.write_bytes(data)
        return what, attempt(path, expected), suffix != ".npz"
    what, changed = mutate_arrays(arrays, rng)
    try:
        write_arrays(path, changed)
    except (TypeError, ValueError):  # h5py stores no dates and no wide strings
        return what, REFUSED, True
    return what, attempt(path, expected), True


def _write_layout(folder: Path, *, layout: str, suffix: str) -> Path:
    return write_arrays(folder / f"a{suffix}", LAYOUTS[layout]())


def of_folder(
    writer: Callable[[Path], Path], rng: np.random.Generator, folder: Path
) -> tuple[str, str, bool]:
    """Damage one file of a folder."""
    source, expected = good(str(writer), writer)
    path = folder / source.name
    shutil.copytree(source, path)
    what = mutate_folder(path, rng)
    # The pages have checksums; the footer, the JSON and other files have none.
    return what, attempt(path, expected), True


def of_pages(
    writer: Callable[[Path], Path], rng: np.random.Generator, folder: Path
) -> tuple[str, str, bool]:
    """Damage the pages of a Parquet file, which have checksums."""
    source, expected = good(str(writer), writer)
    path = folder / source.name
    shutil.copytree(source, path)
    files = sorted((path / "data").rglob("*.parquet"))
    file = files[int(rng.integers(len(files)))]
    data = bytearray(file.read_bytes())
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    place = int(rng.integers(4, footer))
    data[place] ^= 1 << int(rng.integers(8))
    file.write_bytes(data)
    return f"flipped a bit of byte {place}", attempt(path, expected), False


def _lerobot(folder: Path, *, version: str) -> Path:
    """Write a LeRobotDataset whose pages have checksums."""
    import pyarrow.parquet as parquet

    path = write_lerobot(folder / "set", EPISODES, version)
    for file in path.rglob("*.parquet"):
        parquet.write_table(parquet.read_table(file), file, write_page_checksum=True)
    return path


def _minari(folder: Path) -> Path:
    return write_minari(folder, EPISODES, "home-v0", "hdf5")


def _zarr(folder: Path) -> Path:
    return write_arrays(folder / "a.zarr", replay_buffer())


OLD, NEW = (functools.partial(_lerobot, version=version) for version in ("v2.1", "v3.0"))
Target = Callable[[np.random.Generator, Path], tuple[str, str, bool]]
TARGETS: dict[str, Target] = {
    **{
        f"{layout}{suffix}": functools.partial(of_file, layout, suffix)
        for layout in LAYOUTS
        for suffix in (".npz", ".hdf5")
        if (layout, suffix) != ("demonstrations", ".npz")
    },
    "lerobot-v2.1": functools.partial(of_folder, OLD),
    "lerobot-v3.0": functools.partial(of_folder, NEW),
    "lerobot-pages": functools.partial(of_pages, NEW),
    "minari": functools.partial(of_folder, _minari),
    "zarr": functools.partial(of_folder, _zarr),
}
"""A trial of each: what was done, what came of it, and whether other numbers may be accepted."""


def trial(name: str, seed: int) -> str:
    """Make one trial; return what came of it.

    Raises:
        AssertionError: naming the trial and what was done, if it is not as it must be.
    """
    rng = np.random.default_rng([seed, *name.encode()])
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        what, outcome, may_change = TARGETS[name](rng, Path(folder))
    assert outcome != CHANGED or may_change, f"{name}, seed {seed}: accepted, though it {what}"
    return outcome
