"""The plain layout of recordings, an ``.npz`` or an HDF5 file.

For each episode, of T steps, ``episode_0``, ``episode_1``, ...:

- ``episode_0/observations [T+1, D]``: before each step, and after the last;
- ``episode_0/actions [T, A]``: what was asked for, in the units of the robot;
- ``episode_0/rewards [T]``, unless training is by success alone;
- ``episode_0/terminations [T]``, by choice: true in the last step if the task ended there, false if
  only the recording did, as at a time limit;
- ``episode_0/success [T]``, by choice: whether the step ended in success;

and for all of them ``control_rate``, by choice: steps per second. In an ``.npz`` file these are the
arrays' names; in HDF5 they are groups and datasets, as Minari has them too.
"""

import re
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from driftpolicy.data.files import read_npz, write_npz
from driftpolicy.errors import UserError
from driftpolicy.tasks.benchmark import HDF5_SUFFIXES
from driftpolicy.tasks.custom.format import Format
from driftpolicy.tasks.custom.recording import Recording, complete, trajectory

PARTS = ("observations", "actions", "rewards", "terminations", "success")
_EPISODE = re.compile(r"episode_(\d+)")


class PlainFormat(Format):
    """The plain layout."""

    def matches(self, path: Path) -> bool:
        """Return whether a file is in this layout."""
        return path.is_file() and any(
            _EPISODE.fullmatch(name.split("/")[0]) for name in _names(path)
        )

    def files(self, path: Path) -> list[Path]:
        """Return the one file."""
        return [path]

    def kind(self, path: Path) -> str:
        """Return ``plain HDF5`` or ``plain npz``."""
        return "plain HDF5" if path.suffix in HDF5_SUFFIXES else "plain npz"

    def read(self, path: Path) -> Recording:
        """Read all episodes, in the order of their numbers.

        Raises:
            UserError: if the file is damaged, or something is missing or does not fit.
        """
        arrays = _hdf5_arrays(path) if path.suffix in HDF5_SUFFIXES else read_npz(path)
        episodes: dict[str, dict[str, np.ndarray]] = {}
        ignored = set()
        for name, array in arrays.items():
            head, _, part = name.partition("/")
            if _EPISODE.fullmatch(head) and part in PARTS:
                episodes.setdefault(head, {})[part] = array
            elif name != "control_rate":
                ignored.add(part if _EPISODE.fullmatch(head) else name)
        ordered = sorted(episodes, key=lambda name: int(name.partition("_")[2]))
        read = [trajectory(str(path), name, episodes[name]) for name in ordered]
        rate = _rate(path, arrays.get("control_rate"))
        return complete(str(path), Recording(self.kind(path), read, rate, tuple(sorted(ignored))))

    def packages(self) -> Mapping[str, str]:
        """Return the package that reads HDF5."""
        return {"h5py": "hdf5"}


def _names(path: Path) -> list[str]:
    """Return the names in a file; none where it is not readable as what it is named."""
    try:
        if path.suffix in HDF5_SUFFIXES:
            with _open(path) as file:
                return list(file)
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return []


def _rate(path: Path, stored: np.ndarray | None) -> float | None:
    if stored is None:
        return None
    if stored.size != 1 or stored.dtype.kind not in "fiu" or not 0 < stored.item() < np.inf:
        raise UserError(f"{path}: its control_rate is no number above 0")
    return float(stored.item())


def _hdf5_arrays(path: Path) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    with _open(path) as file:
        if "control_rate" in file.attrs:
            arrays["control_rate"] = np.asarray(file.attrs["control_rate"])

        def visit(name: str, item: Any) -> None:
            if hasattr(item, "shape"):
                wanted = name.partition("/")[2] in PARTS or name == "control_rate"
                arrays[name] = item[()] if wanted else np.empty(0)

        try:
            file.visititems(visit)
        except OSError as error:
            raise UserError(f"{path} is damaged: {error}") from None
    return {name: np.asarray(array) for name, array in arrays.items()}


def _open(path: Path) -> Any:
    try:
        import h5py
    except ImportError:
        raise UserError("reading HDF5 needs h5py: uv sync --extra hdf5") from None
    return h5py.File(path, "r", locking=False)


def write(
    path: Path,
    episodes: Iterable[Mapping[str, Any]],
    *,
    control_rate: float | None = None,
) -> None:
    """Store episodes in an ``.npz`` file, atomically.

    Args:
        path: of the file, ending in ``.npz``.
        episodes: of each the parts above by their names, arrays or lists.
        control_rate: steps per second.

    Raises:
        UserError: if something is missing or does not fit, or the disk is full.
    """
    if path.suffix != ".npz":
        raise UserError(f"{path}: the name of a plain data file ends in .npz")
    arrays: dict[str, np.ndarray] = {}
    for number, episode in enumerate(episodes):
        name = f"episode_{number}"
        parts = {part: np.asarray(values) for part, values in episode.items()}
        if unknown := sorted(set(parts) - set(PARTS)):
            raise UserError(f"{name}: unknown {unknown[0]}; known: {', '.join(PARTS)}")
        trajectory(str(path), name, parts)  # says what does not fit
        arrays |= {f"{name}/{part}": values for part, values in parts.items()}
    if not arrays:
        raise UserError(f"{path} would hold no episode")
    if control_rate is not None:
        arrays["control_rate"] = np.array(float(control_rate))
        _rate(path, arrays["control_rate"])
    write_npz(path, arrays)
