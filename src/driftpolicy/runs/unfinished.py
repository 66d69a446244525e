"""The episodes of an evaluation or a diagnosis that was interrupted, kept beside its checkpoint."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from driftpolicy import __version__
from driftpolicy.data.files import read_npz, write_npz
from driftpolicy.errors import UserError

Record = Mapping[str, Any]
"""What is known of one episode: numbers and arrays by name."""


class Unfinished:
    """What is kept of something that is done episode by episode with one checkpoint."""

    def __init__(self, checkpoint: Path, what: str, **settings: Any):
        """Name it.

        Args:
            checkpoint: its file.
            what: such as ``evaluation``.
            **settings: all that decides an episode beside its number and the checkpoint.
        """
        file = checkpoint.stat()
        identity = [checkpoint.name, file.st_size, file.st_mtime_ns, __version__, settings]
        self._what = f"unfinished {what}"
        self._identity = json.dumps(identity)
        self.path = checkpoint.parent / f"unfinished-{what}.npz"

    def load(self) -> dict[int, dict[str, np.ndarray]]:
        """Return what is kept by the episodes' numbers: nothing if it is of another checkpoint.

        What is damaged counts as not kept: the episodes are made again.
        """
        if not self.path.exists():
            return {}
        try:
            kept = read_npz(self.path, what=self._what)
            if str(kept.pop("identity")) != self._identity:
                return {}
            records: dict[int, dict[str, np.ndarray]] = {}
            for place, array in kept.items():
                number, _, name = place.partition("/")
                records.setdefault(int(number), {})[name] = array
            return records
        except (UserError, KeyError, ValueError, TypeError):
            return {}

    def save(self, records: Mapping[int, Record]) -> None:
        """Keep records by number, instead of what was kept before.

        Raises:
            UserError: if the file cannot be written.
        """
        arrays = {
            f"{number}/{name}": np.asarray(value)
            for number, record in records.items()
            for name, value in record.items()
        }
        write_npz(self.path, {"identity": np.array(self._identity), **arrays}, what=self._what)

    def drop(self) -> None:
        """Keep nothing."""
        self.path.unlink(missing_ok=True)
