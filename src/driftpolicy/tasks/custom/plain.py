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
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from driftpolicy.data.files import write_npz
from driftpolicy.errors import UserError, in_brief
from driftpolicy.tasks.custom.arrays import is_hdf5, list_names, read_arrays, top_names
from driftpolicy.tasks.custom.format import Format
from driftpolicy.tasks.custom.recording import trajectory
from driftpolicy.tasks.custom.stored import Stored, StoredEpisode

PARTS = ("observations", "actions", "rewards", "terminations", "success")
_EPISODE = re.compile(r"episode_\d+", re.ASCII)
_RATE = "control_rate"


class PlainFormat(Format):
    """The plain layout."""

    def matches(self, path: Path) -> bool:
        """Return whether a file is in this layout."""
        return path.is_file() and any(_EPISODE.fullmatch(name) for name in top_names(path))

    def files(self, path: Path) -> list[Path]:
        """Return the one file."""
        return [path]

    def kind(self, path: Path) -> str:
        """Return ``plain HDF5`` or ``plain npz``."""
        return "plain HDF5" if is_hdf5(path) else "plain npz"

    def open(self, path: Path) -> Stored:
        """List the parts of all episodes, whose order is that of their numbers.

        Raises:
            UserError: if the file is damaged, or its control rate is none.
        """
        stored, attributes = list_names(path)
        held: dict[str, dict[str, str]] = {}
        others = set()
        for name in stored:
            episode, _, column = name.partition("/")
            if _EPISODE.fullmatch(episode) and column:
                held.setdefault(episode, {})[column] = name
            else:
                others.add(name)
        order = sorted(held, key=_number)

        def episodes(names: Collection[str]) -> Iterator[StoredEpisode]:
            chosen = {e: {n: held[e][n] for n in names if n in held[e]} for e in order}
            arrays = read_arrays(path, [full for own in chosen.values() for full in own.values()])
            for episode, columns in chosen.items():
                parts = {n: arrays.pop(full) for n, full in columns.items()}
                yield StoredEpisode(in_brief(episode, 60), parts)

        rate = attributes.get(_RATE)
        if _RATE in others:
            rate = read_arrays(path, [_RATE])[_RATE]
        return Stored(
            names=list({column: None for columns in held.values() for column in columns}),
            defaults={part: (part,) for part in PARTS},
            episodes=episodes,
            control_rate=_rate(path, rate),
            others=others - {_RATE},
        )

    def packages(self) -> Mapping[str, str]:
        """Return the package that reads HDF5."""
        return {"h5py": "hdf5"}


def _number(episode: str) -> tuple[int, str]:
    """Return a key that sorts by the number in a name, of any length."""
    digits = episode.removeprefix("episode_").lstrip("0")
    return len(digits), digits


def _rate(path: Path, stored: Any) -> float | None:
    if stored is None:
        return None
    value = np.asarray(stored)
    if value.size != 1 or value.dtype.kind not in "fiu" or not 0 < value.item() < np.inf:
        raise UserError(f"{path}: its control_rate is no number above 0")
    return float(value.item())


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
        arrays[_RATE] = np.array(float(control_rate))
        _rate(path, arrays[_RATE])
    write_npz(path, arrays)
