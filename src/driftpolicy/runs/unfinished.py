"""The episodes of an evaluation that was interrupted, kept beside its checkpoint."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from driftpolicy import __version__
from driftpolicy.data.files import read_npz, write_npz
from driftpolicy.envs.episodes import Episode
from driftpolicy.errors import UserError

_WHAT = "unfinished evaluation"


class UnfinishedEvaluation:
    """What is kept of an evaluation of one checkpoint with one choice of settings."""

    def __init__(self, checkpoint: Path, **settings: Any):
        """Name the evaluation.

        Args:
            checkpoint: its file.
            **settings: all that decides an episode beside its number and the checkpoint.
        """
        file = checkpoint.stat()
        identity = [checkpoint.name, file.st_size, file.st_mtime_ns, __version__, settings]
        self._identity = json.dumps(identity)
        self.path = checkpoint.parent / "unfinished-evaluation.npz"

    def load(self) -> dict[int, Episode]:
        """Return the kept episodes by number; none if another evaluation was kept, or nothing.

        What is damaged counts as not kept: the episodes are made again.
        """
        if not self.path.exists():
            return {}
        try:
            kept = read_npz(self.path, what=_WHAT)
            if str(kept["identity"]) != self._identity:
                return {}
            columns = [kept[name].tolist() for name in ("number", *Episode._fields)]
            return {number: Episode(*values) for number, *values in zip(*columns, strict=True)}
        except (UserError, KeyError, ValueError, TypeError):
            return {}

    def save(self, episodes: Mapping[int, Episode]) -> None:
        """Keep episodes by number, instead of what was kept before.

        Raises:
            UserError: if the file cannot be written.
        """
        columns = {
            name: np.array([getattr(episode, name) for episode in episodes.values()])
            for name in Episode._fields
        }
        arrays = {"identity": np.array(self._identity), "number": np.array(list(episodes))}
        write_npz(self.path, arrays | columns, what=_WHAT)

    def drop(self) -> None:
        """Keep nothing."""
        self.path.unlink(missing_ok=True)
