"""A format of recordings in one file: a folder of CSV files, one for each episode.

    episode_0.csv:  state_x,state_y,action_x,action_y,success
                    0.10,0.20,0.50,-0.25,0
                    ...

A row holds what was seen and what was then done; the last row's action means nothing. Beside the
formats in `src/driftpolicy/tasks/custom/` it is one more file, and one line in `formats.py` there;
docs/extending.md goes through it.
"""

import csv
from pathlib import Path

import numpy as np

from driftpolicy.errors import UserError
from driftpolicy.tasks.custom.format import Format
from driftpolicy.tasks.custom.recording import Recording, complete, trajectory


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

    def read(self, path: Path) -> Recording:
        """Read all episodes.

        Raises:
            UserError: naming the file that is damaged or in which something does not fit.
        """
        trajectories = []
        for file in self.files(path):
            columns = _columns(file)
            states = [name for name in columns if name.startswith("state_")]
            actions = [name for name in columns if name.startswith("action_")]
            parts = {
                "observations": np.stack([columns[name] for name in states], axis=1),
                "actions": np.stack([columns[name][:-1] for name in actions], axis=1),
                "success": columns["success"][:-1] > 0,
            }
            trajectories.append(trajectory(str(path), file.stem, parts))
        return complete(str(path), Recording(self.kind(path), trajectories, control_rate=None))


def _columns(file: Path) -> dict[str, np.ndarray]:
    """Return the columns of a file as numbers."""
    with open(file, newline="") as lines:
        header, *rows = csv.reader(lines)
    try:
        values = np.array(rows, np.float32)
        return dict(zip(header, values.T, strict=True))
    except ValueError as error:
        raise UserError(f"{file} is no table of numbers: {error}") from None
