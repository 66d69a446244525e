"""Diffusion Policy's replay buffers: HDF5 files and zarr folders.

``data/*`` are arrays of one row per step, ``meta/episode_ends`` the step after the last one of each
episode. An observation is ``data/obs`` or ``data/state``, an action ``data/action``. What followed
an episode's last action is not stored, so that action is left out.
"""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import numpy as np

from driftpolicy.errors import UserError
from driftpolicy.tasks.custom.arrays import is_hdf5, list_arrays, read_arrays, top_names
from driftpolicy.tasks.custom.format import Format
from driftpolicy.tasks.custom.stored import Stored, StoredEpisode

_DATA, _ENDS = "data/", "meta/episode_ends"
_SEEN = ("obs", "state")


class ReplayBufferFormat(Format):
    """Diffusion Policy's replay buffers."""

    def matches(self, path: Path) -> bool:
        """Return whether there are ``data`` and ``meta`` at the top."""
        return {"data", "meta"} <= set(top_names(path))

    def files(self, path: Path) -> list[Path]:
        """List the file, or all files of the folder."""
        return sorted(file for file in path.rglob("*") if file.is_file()) or [path]

    def kind(self, path: Path) -> str:
        """Return ``replay buffer`` and what it is kept in."""
        kept = "zarr" if path.is_dir() else "HDF5" if is_hdf5(path) else "npz"
        return f"replay buffer in {kept}"

    def open(self, path: Path) -> Stored:
        """Find the episodes.

        Raises:
            UserError: if something is damaged, or the ends of the episodes are not in order.
        """
        heads, _ = list_arrays(path)
        if _ENDS not in heads:
            raise UserError(f"{path} has data and meta, but no {_ENDS}")
        ends = read_arrays(path, [_ENDS])[_ENDS].reshape(-1)
        steps = int(ends[-1]) if len(ends) and ends.dtype.kind in "iu" else 0
        if not steps or (np.diff(ends.astype(np.int64), prepend=0) <= 0).any():
            raise UserError(f"{path}: its {_ENDS} are no numbers of steps, each above the last")
        columns = {
            name.removeprefix(_DATA): name
            for name, head in heads.items()
            if name.startswith(_DATA) and head.shape[:1] == (steps,)
        }
        for name in ("action", *_SEEN):
            head = heads.get(_DATA + name)
            if head and name not in columns:
                raise UserError(
                    f"{path}: {_DATA}{name} has shape {head.shape}, but the last of {_ENDS} is "
                    f"{steps:,}"
                )

        def episodes(names: Collection[str]) -> Iterator[StoredEpisode]:
            arrays = read_arrays(path, [columns[name] for name in names])
            for number, (start, stop) in enumerate(zip([0, *ends], ends, strict=False)):
                parts = {name: arrays[columns[name]][start:stop] for name in names}
                yield StoredEpisode(f"episode {number}", parts)

        seen = [name for name in _SEEN if name in columns]
        return Stored(
            names=list(columns),
            defaults={
                "observations": tuple(seen[:1]) if len(seen) == 1 else (),
                "actions": ("action",),
                "rewards": ("reward",),
                "success": ("success",),
            },
            episodes=episodes,
            prefix=_DATA,
            frames=True,
            others=set(heads) - set(columns.values()) - {_ENDS},
        )

    def packages(self) -> Mapping[str, str]:
        """Return the packages that read HDF5 and zarr."""
        return {"h5py": "hdf5", "zarr": "zarr"}
