"""D4RL's layout: steps one after another, in an ``.npz`` or an HDF5 file.

``observations [N, D]``, ``actions [N, A]``, ``rewards [N]``, ``terminals [N]`` (true where a step
ended the task) and ``timeouts [N]`` (true where a step was the last one of an episode that the
time ended), maybe ``next_observations [N, D]``. Steps after the last end were cut off there.
What followed a time limit is not stored without ``next_observations``, so that step is left out.
"""

import itertools
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import numpy as np

from driftpolicy.errors import UserError
from driftpolicy.tasks.custom.arrays import is_hdf5, list_arrays, read_arrays, top_names
from driftpolicy.tasks.custom.format import Format
from driftpolicy.tasks.custom.recording import require_numbers, yes_or_no
from driftpolicy.tasks.custom.stored import Stored, StoredEpisode

_ENDS = ("terminals", "timeouts")
_SEEN, _NEXT = "observations", "next_observations"
_ROUNDING = 1e-5  # of the range of a number: the same


class FlatFormat(Format):
    """D4RL's layout."""

    def matches(self, path: Path) -> bool:
        """Return whether a file holds observations and actions at its top."""
        return path.is_file() and {_SEEN, "actions"} <= set(top_names(path))

    def claims(self, path: Path) -> bool:
        """Return whether it also says where time ended an episode, as no benchmark's file does."""
        return self.matches(path) and _ENDS[1] in top_names(path)

    def files(self, path: Path) -> list[Path]:
        """Return the one file."""
        return [path]

    def kind(self, path: Path) -> str:
        """Return ``flat HDF5`` or ``flat npz``."""
        return f"{'flat HDF5' if is_hdf5(path) else 'flat npz'} (D4RL's layout)"

    def open(self, path: Path) -> Stored:
        """Find the episodes.

        Raises:
            UserError: if the file is damaged, does not say where episodes end, or says it wrongly.
        """
        heads, _ = list_arrays(path)
        ends = [name for name in _ENDS if name in heads]
        objects = [name for name, head in heads.items() if head.dtype.hasobject]
        if objects and not is_hdf5(path):
            read_arrays(path, objects)  # refuses them
        groups = [name for name in (_SEEN, "actions") if name not in heads]
        if groups:
            raise UserError(f"{path}: {groups[0]} is no array of a row for each step, but a group")
        if _ENDS[1] not in ends:
            raise UserError(
                f"{path} holds observations and actions without timeouts, so that nobody knows "
                "where episodes end: store timeouts (true in the last step of an episode that did "
                "not terminate) and terminals (true where the task ended), or an array for each "
                "episode (docs/robot.md)"
            )
        steps = {name: head.shape[0] for name, head in heads.items() if head.shape}
        count = steps.get(_SEEN, 0)
        rows = [name for name, length in steps.items() if length == count and "/" not in name]
        wanted = [_SEEN, "actions", *ends, *(name for name in ("rewards", _NEXT) if name in heads)]
        if short := [name for name in wanted if name not in rows]:
            text = ", ".join(f"{name} {heads[name].shape}" for name in short)
            raise UserError(f"{path}: {count:,} observations, but not as many rows in {text}")

        def episodes(names: Collection[str]) -> Iterator[StoredEpisode]:
            arrays = read_arrays(path, {*names, *ends})
            for name in ends:
                require_numbers(str(path), "the file", name, arrays[name])
                arrays[name] = yes_or_no(f"{path}: {name}", arrays[name].reshape(-1))
            last = np.any([arrays[name] for name in ends], axis=0)
            if _SEEN in names and _NEXT in names:
                _require_joined(path, arrays[_SEEN], arrays[_NEXT], last)
            bounds = [0, *(np.flatnonzero(last) + 1).tolist()]
            bounds += [count] if bounds[-1] < count else []
            for number, (start, stop) in enumerate(itertools.pairwise(bounds)):
                parts = {name: arrays[name][start:stop] for name in names}
                yield StoredEpisode(f"episode {number} (steps {start} to {stop - 1})", parts)

        return Stored(
            names=rows,
            defaults={
                "observations": (_SEEN,),
                "actions": ("actions",),
                "rewards": ("rewards",),
                "terminations": (_ENDS[0],),
                "success": ("success",),
            },
            episodes=episodes,
            frames=True,
            following={_SEEN: _NEXT},
            bookkeeping=(_ENDS[1],),
            others=set(heads) - set(rows),
        )

    def packages(self) -> Mapping[str, str]:
        """Return the package that reads HDF5."""
        return {"h5py": "hdf5"}


def _require_joined(path: Path, seen: np.ndarray, after: np.ndarray, last: np.ndarray) -> None:
    """Raise a UserError unless each step begins where the one before it in its episode led."""
    for name, values in ((_SEEN, seen), (_NEXT, after)):
        require_numbers(str(path), "the file", name, values)
    if seen.shape != after.shape:
        raise UserError(f"{path}: {_SEEN} have shape {seen.shape}, {_NEXT} {after.shape}")
    width = _ROUNDING * (np.nanmax(seen, axis=0) - np.nanmin(seen, axis=0))
    apart = (np.abs(seen[1:] - after[:-1]) > width).reshape(len(seen) - 1, -1).any(axis=1)
    apart &= ~last[:-1]
    if apart.any():
        step = int(apart.argmax())
        raise UserError(
            f"{path}: step {step + 1} does not begin with the {_NEXT} of step {step}, and "
            "neither terminal nor timeout is between them: mark the ends, and keep the order"
        )
