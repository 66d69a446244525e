"""Minari datasets on this machine, read through the package minari (0.5, HDF5 or Arrow)."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from driftpolicy.tasks.custom.recording import Recording, complete, trajectory
from driftpolicy.tasks.custom.environment import SUCCESS_KEYS
from driftpolicy.errors import UserError

_PARTS = ("observations", "actions", "rewards", "terminations")


def root() -> Path:
    """Where Minari keeps its datasets."""
    return Path(os.environ.get("MINARI_DATASETS_PATH") or "~/.minari/datasets").expanduser()


def matches(path: Path) -> bool:
    """Whether a folder is a dataset of Minari's."""
    return (path / "data" / "metadata.json").is_file()


def files(path: Path) -> list[Path]:
    """What identifies the data."""
    return sorted(file for file in (path / "data").rglob("*") if file.is_file())


def kind(path: Path) -> str:
    """What it is stored as."""
    try:
        name = json.loads((path / "data" / "metadata.json").read_text())["dataset_id"]
    except (OSError, ValueError, TypeError, KeyError):
        raise UserError(f"{path}: its data/metadata.json is damaged") from None
    return f"Minari dataset {name}"


def read(path: Path) -> Recording:
    """All episodes.

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
                    raise UserError(f"{path}: its {part} are {type(parts[part]).__name__}, no rows")
            infos = episode.infos or {}
            told = next((key for key in SUCCESS_KEYS if key in infos), None)
            if told is not None:  # one more than steps: the reset's comes first
                parts["success"] = np.asarray(infos[told])[-len(parts["actions"]) :]
            ignored |= {f"infos/{key}" for key in infos if key != told}
            read.append(trajectory(str(path), f"episode_{episode.id}", parts))
    except UserError:
        raise
    except Exception as error:  # whatever damaged files make Minari raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: Minari cannot read it: {reason}") from None
    return complete(str(path), Recording(kind(path), read, None, tuple(sorted(ignored))))
