"""Robomimic's layout of demonstrations, of an environment of the user's own.

``data/demo_0/actions [T, A]``, ``data/demo_0/obs/* [T, ...]``, and maybe ``rewards [T]`` and
``next_obs/*``, which say what came of each action. The observation is all of ``obs`` that are rows
of numbers, joined by their sorted names; pictures are not read. What followed the last action is
the last of ``next_obs``; without it that action is left out. ``dones`` may mean that the task ended
or only the recording, so that they are read where the user says ``termination=dones``.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from driftpolicy.errors import UserError, in_brief
from driftpolicy.tasks.custom.arrays import is_hdf5, list_arrays, read_arrays, top_names
from driftpolicy.tasks.custom.format import Format
from driftpolicy.tasks.custom.stored import Stored, StoredEpisode

_DEMO = re.compile(r"data/([^/]*?(\d+))/(.+)", re.ASCII)
_NUMBERS = "biuf"
_ROWS = 2  # dimensions of an array of rows of numbers; pictures have more


class DemonstrationsFormat(Format):
    """Robomimic's layout."""

    def matches(self, path: Path) -> bool:
        """Return whether an HDF5 file has ``data`` at its top."""
        return path.is_file() and is_hdf5(path) and "data" in top_names(path)

    def claims(self, path: Path) -> bool:
        """Return False: without an environment named, Robomimic's own tasks are meant."""
        return False

    def files(self, path: Path) -> list[Path]:
        """Return the one file."""
        return [path]

    def kind(self, path: Path) -> str:
        """Return ``demonstrations in Robomimic's layout``."""
        return "demonstrations in Robomimic's layout"

    def open(self, path: Path) -> Stored:
        """List what the demonstrations hold, in the order of their numbers.

        Raises:
            UserError: if the file is damaged, or holds none.
        """
        heads, _ = list_arrays(path)
        held: dict[str, dict[str, str]] = {}
        numbers: dict[str, int] = {}
        wide: set[str] = set()
        for full, head in heads.items():
            found = _DEMO.fullmatch(full)
            if found is None:
                continue
            name, digits, column = found.groups()
            held.setdefault(name, {})[column] = full
            numbers[name] = int(digits[-18:])
            if len(head.shape) > _ROWS or head.dtype.kind not in _NUMBERS:
                wide.add(column)
        if not held:
            raise UserError(f"{path} has data, but no data/demo_0/actions, so no demonstration")
        names = list({column: None for columns in held.values() for column in columns})

        def episodes(names: Collection[str]) -> Iterator[StoredEpisode]:
            for demo in sorted(held, key=numbers.__getitem__):
                places = {name: held[demo][name] for name in names if name in held[demo]}
                arrays = read_arrays(path, places.values())
                parts = {name: arrays[place] for name, place in places.items()}
                yield StoredEpisode(in_brief(demo, 60), parts)

        seen = sorted(name for name in names if name.startswith("obs/") and name not in wide)
        return Stored(
            names=names,
            defaults={
                "observations": tuple(seen),
                "actions": ("actions",),
                "rewards": ("rewards",),
            },
            episodes=episodes,
            prefix="obs/",
            frames=True,
            following={name: f"next_{name}" for name in names if name.startswith("obs/")},
            others={name for name in heads if _DEMO.fullmatch(name) is None},
        )

    def packages(self) -> Mapping[str, str]:
        """Return the package that reads HDF5."""
        return {"h5py": "hdf5"}
