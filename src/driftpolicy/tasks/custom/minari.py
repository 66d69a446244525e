"""Minari datasets on this machine, read through the package minari (0.5, HDF5 or Arrow)."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from driftpolicy.errors import UserError
from driftpolicy.tasks.custom.format import Format
from driftpolicy.tasks.custom.recording import Recording, complete, trajectory
from driftpolicy.tasks.custom.success import SUCCESS_KEYS

_PARTS = ("observations", "actions", "rewards", "terminations")


class MinariFormat(Format):
    """Minari's datasets."""

    def matches(self, path: Path) -> bool:
        """Return whether a folder is a dataset of Minari's."""
        return (path / "data" / "metadata.json").is_file()

    def files(self, path: Path) -> list[Path]:
        """List all files."""
        return sorted(file for file in (path / "data").rglob("*") if file.is_file())

    def kind(self, path: Path) -> str:
        """Return ``Minari dataset`` and its id."""
        try:
            name = json.loads((path / "data" / "metadata.json").read_text())["dataset_id"]
        except (OSError, ValueError, TypeError, KeyError):
            raise UserError(f"{path}: its data/metadata.json is damaged") from None
        return f"Minari dataset {name}"

    def read(self, path: Path) -> Recording:
        """Read all episodes.

        Raises:
            UserError: if Minari is not installed or cannot read it, or something does not fit.
        """
        try:
            import minari
        except ImportError:
            raise UserError("Minari's datasets need minari: uv sync --extra minari") from None
        read, ignored = [], set()
        try:
            for episode in minari.MinariDataset(path / "data").iterate_episodes():
                parts: dict[str, Any] = {part: getattr(episode, part) for part in _PARTS}
                for part in ("observations", "actions"):
                    if not isinstance(parts[part], np.ndarray):
                        raise UserError(
                            f"{path}: its {part} are {type(parts[part]).__name__}, no rows"
                        )
                infos = episode.infos or {}
                reported = next((key for key in SUCCESS_KEYS if key in infos), None)
                if reported is not None:  # one more than steps: the reset's comes first
                    parts["success"] = np.asarray(infos[reported])[-len(parts["actions"]) :]
                ignored |= {f"infos/{key}" for key in infos if key != reported}
                read.append(trajectory(str(path), f"episode_{episode.id}", parts))
        except UserError:
            raise
        except Exception as error:  # whatever damaged files make Minari raise
            reason = " ".join(str(error).split()) or type(error).__name__
            raise UserError(f"{path}: Minari cannot read it: {reason}") from None
        return complete(str(path), Recording(self.kind(path), read, None, tuple(sorted(ignored))))

    def library(self) -> Path:
        """Return where Minari keeps its datasets."""
        return Path(os.environ.get("MINARI_DATASETS_PATH") or "~/.minari/datasets").expanduser()

    def packages(self) -> Mapping[str, str]:
        """Return the package that reads them."""
        return {"minari": "minari"}
