"""Minari datasets on this machine, read through the package minari (0.5, HDF5 or Arrow)."""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from driftpolicy.data.hdf5 import open_hdf5
from driftpolicy.errors import UserError, in_brief
from driftpolicy.tasks.custom.arrays import is_hdf5
from driftpolicy.tasks.custom.format import Format
from driftpolicy.tasks.custom.stored import Stored, StoredEpisode
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
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            raise UserError(f"{path}: its data/metadata.json is damaged") from None
        return f"Minari dataset {in_brief(name, 60)}"

    def open(self, path: Path) -> Stored:
        """Read all episodes; dictionaries are flattened by their sorted keys.

        That is the order of ``gymnasium.wrappers.FlattenObservation``.

        Raises:
            UserError: if Minari is not installed or cannot read it.
        """
        try:
            import minari
        except ImportError:
            raise UserError("Minari's datasets need minari: uv sync --extra minari") from None
        for file in self.files(path):
            if is_hdf5(file):  # Minari would read what is elsewhere as zeros, or not at all
                open_hdf5(file).close()
        stored: list[StoredEpisode] = []
        names: dict[str, None] = {}
        others: set[str] = set()
        with _reading(path):
            for episode in minari.MinariDataset(path / "data").iterate_episodes():
                name = f"episode_{episode.id}"
                try:
                    columns, infos = _columns(episode)
                    stored.append(StoredEpisode(name, columns))
                    names |= dict.fromkeys(columns)
                    others |= {f"infos/{info}" for info in infos}
                except UserError as error:
                    stored.append(StoredEpisode(name, error))
        names = names or dict.fromkeys(_PARTS)  # if all are broken, the first one is named

        def below(part: str) -> tuple[str, ...]:
            inside = tuple(name for name in names if name.startswith(f"{part}/"))
            return inside or (part,)

        return Stored(
            names=list(names),
            defaults={part: below(part) for part in (*_PARTS, "success")},
            episodes=lambda names: stored,
            prefix="observations/",
            others=others,
        )

    def library(self) -> Path:
        """Return where Minari keeps its datasets."""
        return Path(os.environ.get("MINARI_DATASETS_PATH") or "~/.minari/datasets").expanduser()

    def packages(self) -> Mapping[str, str]:
        """Return the package that reads them."""
        return {"minari": "minari"}


def _columns(episode: Any) -> tuple[dict[str, np.ndarray], list[str]]:
    """Return the arrays of an episode by their names, and the names of its infos not among them.

    Raises:
        UserError: if its successes are neither one for each step nor also one for the reset.
    """
    columns: dict[str, np.ndarray] = {}
    for part in _PARTS:
        columns |= _flat(part, getattr(episode, part))
    steps = len(columns["rewards"])
    infos = dict(episode.infos or {})
    key = next((key for key in SUCCESS_KEYS if key in infos), None)
    if key is not None:
        success = np.asarray(infos.pop(key))
        if len(success) not in (steps, steps + 1):
            raise UserError(
                f"episode_{episode.id} has {len(success)} infos/{key} and {steps} steps; needed "
                f"are {steps + 1}: one of the reset, and one of each step"
            )
        columns["success"] = success[len(success) - steps :]
    return columns, sorted(infos)


def _flat(name: str, values: Any) -> dict[str, np.ndarray]:
    """Return nested dictionaries and tuples of arrays as one level, keys sorted."""
    if isinstance(values, Mapping):
        items = sorted(values.items())
    elif isinstance(values, tuple):
        items = list(enumerate(values))
    else:
        return {name: np.asarray(values)}
    return {k: v for key, value in items for k, v in _flat(f"{name}/{key}", value).items()}


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn whatever damaged files make Minari raise into one line."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{path}: Minari cannot read it: {in_brief(error)}") from None
