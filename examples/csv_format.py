"""A format of recordings in one file: a folder of CSV files, one for each episode.

    episode_0.csv:  state_x,state_y,action_x,action_y,success
                    0.10,0.20,0.50,-0.25,0
                    ...

A row holds what was seen and what was then done; the last row's action means nothing. Beside the
formats in `src/driftpolicy/tasks/custom/` it is one more file, and one line in `formats.py` there;
docs/extending.md goes through it.
"""

import csv
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np

from driftpolicy.errors import UserError
from driftpolicy.tasks.custom.format import Format
from driftpolicy.tasks.custom.stored import Stored, StoredEpisode


class CsvFormat(Format):
    """A folder of ``episode_<number>.csv``."""

    def matches(self, path: Path) -> bool:
        """Return whether a folder holds such files."""
        return path.is_dir() and any(path.glob("episode_*.csv"))

    def kind(self, path: Path) -> str:
        """Say what the recording is stored as."""
        return "CSV, an episode a file"

    def files(self, path: Path) -> list[Path]:
        """List the episodes' files in the order of their numbers."""
        return sorted(path.glob("episode_*.csv"), key=lambda file: (len(file.stem), file.stem))

    def open(self, path: Path) -> Stored:
        """List the columns, of which those that begin with ``state_`` are the observation.

        Raises:
            UserError: naming the file that is damaged.
        """
        files = self.files(path)
        names = list(_columns(files[0]))

        def episodes(names: Collection[str]) -> Iterator[StoredEpisode]:
            for file in files:
                try:
                    columns = _columns(file)
                except UserError as error:
                    yield StoredEpisode(file.stem, error)
                    continue
                # The last row has seen what followed the last action, and done nothing.
                rows = {name: len(column) - 1 for name, column in columns.items()}
                rows |= {name: None for name in columns if name.startswith("state_")}
                found = {name: columns[name][: rows[name]] for name in names if name in columns}
                yield StoredEpisode(file.stem, found)

        return Stored(
            names=names,
            defaults={
                "observations": tuple(name for name in names if name.startswith("state_")),
                "actions": tuple(name for name in names if name.startswith("action_")),
                "success": ("success",),
            },
            episodes=episodes,
        )


def _columns(file: Path) -> dict[str, np.ndarray]:
    """Return the columns of a file as numbers."""
    try:
        with open(file, newline="") as lines:
            header, *rows = csv.reader(lines)
        values = np.array(rows, np.float32)
        return dict(zip(header, values.T, strict=True))
    except (ValueError, csv.Error) as error:
        raise UserError(f"{file} is no table of numbers: {error}") from None
