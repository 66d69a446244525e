"""Files of demonstrations, read through h5py.

Robomimic's layouts v0.1 to v1.5 hold ``data/demo_i/{actions, rewards, dones, states, obs/*,
next_obs/*}`` with ``data.attrs["env_args"]``. robosuite's own recordings (``demo.hdf5``) hold
``states`` and ``actions`` only, with ``data.attrs["env_info"]``: what they saw comes from replaying
the states.
"""

import dataclasses
import json
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64

from driftpolicy.data.files import crc32
from driftpolicy.data.hdf5 import open_hdf5, reading_hdf5
from driftpolicy.errors import UserError, listing
from driftpolicy.tasks.robomimic.environment import OBSERVATION_KEYS


@dataclasses.dataclass(frozen=True)
class Demo:
    """One demonstration as it is stored."""

    name: str
    actions: Float64[np.ndarray, "steps action"]
    observations: Float32[np.ndarray, "rows observation"] | None
    """T+1 of them: ``obs``, and the last of ``next_obs``; T where the file has no ``next_obs``;
    None where it has no observations at all."""
    rewards: Float64[np.ndarray, " steps"] | None
    """1 where the step ended in success; None where the file has none."""
    states: Float64[np.ndarray, "steps state"] | None
    """The simulator's state before each step."""
    parts: dict[str, int] | None = None
    """How many numbers each part of an observation has; None where the file has none."""


class DemoFile:
    """A file of demonstrations, open for reading. Names come in numeric order."""

    def __init__(self, path: Path):
        """Open ``path``.

        Raises:
            UserError: if it is missing, no HDF5, or holds no demonstrations.
        """
        self.path = path
        self._file = open_hdf5(path, extra="robomimic")
        try:
            self._data = self._file["data"]
            self.names = sorted(self._data, key=_number)
            stored = self._data.attrs.get("env_args", self._data.attrs.get("env_info"))
            stated = json.loads(stored)
            self.environment = str(stated["env_name"])
            self.arguments: dict[str, Any] = dict(
                stated.get("env_kwargs") or {k: v for k, v in stated.items() if k != "env_name"}
            )
        except (KeyError, TypeError, ValueError, AttributeError, OSError, RuntimeError):
            self._file.close()
            raise UserError(f"{path} holds no demonstrations in Robomimic's layout") from None
        version = stated.get("env_version") or self._data.attrs.get("repository_version")
        self.version = str(version) if version else "unknown"
        if not self.names:
            self._file.close()
            raise UserError(f"{path} holds no demonstrations")

    def __enter__(self) -> "DemoFile":
        """Return the file, for ``with``."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self._file.close()

    @property
    def description(self) -> dict[str, Any]:
        """The maker of the file, if it was collected by this program."""
        with reading_hdf5(self.path):
            stored = self._data.attrs.get("driftpolicy")
        try:
            return dict(json.loads(stored)) if stored else {}
        except (TypeError, ValueError):
            raise UserError(f"{self.path}: its metadata are not of this program") from None

    def masks(self) -> dict[str, list[str]]:
        """Return the named selections of demonstrations: ``train``, ``valid``, operators."""
        with reading_hdf5(self.path):
            masks = self._file.get("mask", {})
            return {
                name: sorted((item.decode() for item in masks[name][()]), key=_number)
                for name in sorted(masks)
            }

    def select(self, mask: str | None) -> list[str]:
        """Return the demonstrations of a mask, all for None.

        Raises:
            UserError: naming the masks there are.
        """
        if mask is None:
            return self.names
        masks = self.masks()
        if not masks:
            raise UserError(
                f"{self.path} has no masks: without --data-mask {mask} all its "
                f"{len(self.names):,} demonstrations are used"
            )
        if mask not in masks:
            raise UserError(f"{self.path} has no mask {mask!r}; it has: {listing(masks)}")
        absent = set(masks[mask]) - set(self.names)
        if absent or not masks[mask]:
            what = f"names {min(absent)}, which is not there" if absent else "is empty"
            raise UserError(f"{self.path}: its mask {mask!r} {what}")
        return masks[mask]

    def demo(self, name: str) -> Demo:
        """Read one demonstration.

        Raises:
            UserError: naming what is missing or does not fit.
        """
        with reading_hdf5(self.path, what=f"{name} of"):
            return self._read(name)

    def _read(self, name: str) -> Demo:
        group = self._data[name]
        obs, after = group.get("obs", {}), group.get("next_obs", {})
        unseen = [f"obs/{key}" for key in OBSERVATION_KEYS if key not in obs]
        if "actions" not in group:
            raise UserError(f"{self.path}: {name} lacks actions")
        if unseen and "states" not in group:
            raise UserError(
                f"{self.path}: {name} lacks states, and {listing(unseen)}: one or the other says "
                "what was seen"
            )
        arrays = {
            part: np.asarray(group[part], np.float64)
            for part in ("actions", "rewards", "states")
            if part in group
        }
        if "rewards" in arrays:
            arrays["rewards"] = arrays["rewards"].reshape(-1)
        if not unseen:
            arrays |= {f"obs/{key}": np.asarray(obs[key], np.float64) for key in OBSERVATION_KEYS}
            if all(key in after for key in OBSERVATION_KEYS):
                for key in OBSERVATION_KEYS:
                    arrays[f"next_obs/{key}"] = np.asarray(after[key], np.float64)
        self._require_fit(name, arrays)
        pieces = []
        for key in () if unseen else OBSERVATION_KEYS:
            following = arrays.get(f"next_obs/{key}", np.zeros((0, arrays[f"obs/{key}"].shape[1])))
            pieces.append(np.concatenate([arrays[f"obs/{key}"], following[-1:]]))
        with np.errstate(over="ignore"):  # becomes infinity, which is named
            observations = np.concatenate(pieces, axis=1, dtype=np.float32) if pieces else None
        return Demo(
            name=name,
            actions=arrays["actions"],
            observations=observations,
            rewards=arrays.get("rewards"),
            states=arrays.get("states"),
            parts={key: arrays[f"obs/{key}"].shape[1] for key in OBSERVATION_KEYS if not unseen},
        )

    def _require_fit(self, name: str, arrays: dict[str, np.ndarray]) -> None:
        """Raise a UserError unless the arrays of a demonstration are as long as its actions."""
        steps = len(arrays["actions"])
        if not steps:
            raise UserError(f"{self.path}: {name} has no actions")
        seen = {len(values) for part, values in arrays.items() if part.startswith("obs/")}
        after = any(part.startswith("next_obs/") for part in arrays)
        rows = steps + 1 if seen == {steps + 1} and not after else steps
        for part, values in arrays.items():
            if values.ndim != (1 if part == "rewards" else 2):
                raise UserError(f"{self.path}: {name}: {part} have shape {values.shape}")
            if len(values) != (rows if part.startswith("obs/") else steps):
                raise UserError(
                    f"{self.path}: {name} has {steps:,} actions, but {len(values):,} rows of {part}"
                )

    def crc32(self) -> str:
        """Return a checksum of the contents of the file."""
        return crc32([self.path])


def _number(name: str) -> tuple[str, int]:
    """Return a key that sorts ``demo_10`` after ``demo_9``."""
    head, _, tail = name.rpartition("_")
    return (head, int(tail)) if tail.isdigit() else (name, -1)
