"""Checkpoints: one checksummed ``.npz`` file each, atomic, versioned, never pickled.

A checkpoint holds the config, every array of the agent (parameters, target, anchor, optimiser), the
replay, the environment's state, the pending chunk, the counters from which all random numbers
follow, and the logs up to there. Arrays are stored under the path of their field, so a file that
does not fit the program that reads it is refused by name instead of being filled in.
"""

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from driftpolicy.config import TrainConfig
from driftpolicy.data.files import read_npz, write_npz
from driftpolicy.errors import UserError, listing
from driftpolicy.runs.meta import require_kinds
from driftpolicy.runs.trees import require_finite
from driftpolicy.scaling import Scaling

VERSION = 2
KEPT = 2
_NAME = re.compile(r"step-(\d+)\.npz", re.ASCII)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Checkpoint:
    """Everything that a run needs to go on from a step as if it had never stopped.

    All arrays are held under the names that they have in the file, without their group's.
    """

    config: TrainConfig
    data_id: str
    """What identifies the prior data."""
    step: int
    online: bool
    """Whether the online phase has begun."""
    wall_s: float = 0.0
    """Seconds of training so far."""
    last_eval: Mapping[str, Any] | None = None
    """The last evaluation, by the columns of ``eval.csv``."""
    means: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """The sums and counts of what is logged next."""
    logs: Mapping[str, bytes] = dataclasses.field(default_factory=dict)
    """The contents of ``eval.csv`` and ``train.csv``, under ``eval`` and ``train``; empty in files
    of older versions."""
    csv_lengths: Mapping[str, int] = dataclasses.field(default_factory=dict)
    """Their bytes, where the contents are not held."""
    observation_dim: int
    action_dim: int
    scaling: Scaling | None = None
    """How observations and actions are scaled; None: not at all."""
    control_rate: float | None = None
    """Control steps per second; None where the data do not say."""
    agent: Mapping[str, Any]
    """The agent, as :func:`driftpolicy.runs.trees.tree_arrays` has it."""
    replay: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    collection: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """The environments of the online phase and their pending chunks; empty before."""
    owed_marks: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, np.int32))
    """The replay's marks at the steps whose gradient steps have not been made yet."""
    version: int = VERSION
    """The version of the file's format."""

    def save(self, folder: Path) -> Path:
        """Write the checkpoint into a folder of checkpoints and drop all but the last two.

        Raises:
            UserError: if the disk is full, or the agent is not finite; earlier checkpoints stay.
        """
        return save(folder, self.step, *self._stored())

    def write(self, path: Path) -> None:
        """Write the checkpoint into a file of its own name.

        Raises:
            UserError: if the disk is full, or the agent is not finite; an earlier file stays.
        """
        _write(path, *self._stored())

    def _stored(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the meta data and the groups of arrays of the file."""
        meta = {
            "config": self.config.to_json(),
            "data": self.data_id,
            "step": self.step,
            "online": self.online,
            "wall_s": self.wall_s,
            "last_eval": None if self.last_eval is None else dict(self.last_eval),
            "means": dict(self.means),
            "csv": dict(self.csv_lengths) | {name: len(log) for name, log in self.logs.items()},
            "dims": [self.observation_dim, self.action_dim],
            "scaling": self.scaling and self.scaling.to_json(),
            "control_rate": self.control_rate,
        }
        groups = {
            "agent": self.agent,
            "replay": self.replay,
            "collection": self.collection,
            "owed": {"marks": np.asarray(self.owed_marks, np.int32)},
            "logs": {name: np.frombuffer(log, np.uint8) for name, log in self.logs.items()},
        }
        return meta, groups

    @classmethod
    def load(cls, path: Path, *, policy_only: bool = False) -> "Checkpoint":
        """Read a checkpoint, its checksums verified.

        Args:
            path: the file.
            policy_only: whether to leave out all arrays but the agent's.

        Raises:
            UserError: if the file is corrupted, no checkpoint, of a newer version, or its agent is
                not finite.
        """
        meta, groups = load(path, *(("agent",) if policy_only else ()))
        require_finite(groups.get("agent", {}), f"checkpoint {path} cannot be used")
        try:
            require_kinds(meta)
            observation_dim, action_dim = meta["dims"]
            return cls(
                version=meta["version"],
                config=TrainConfig.from_json(meta["config"]),
                data_id=meta["data"],
                step=meta["step"],
                online=meta["online"],
                wall_s=meta.get("wall_s", 0.0),
                last_eval=meta.get("last_eval"),
                means=meta.get("means", {}),
                logs={name: log.tobytes() for name, log in groups.get("logs", {}).items()},
                csv_lengths=meta.get("csv", {}),
                observation_dim=observation_dim,
                action_dim=action_dim,
                scaling=Scaling.from_json(meta.get("scaling")),
                control_rate=meta.get("control_rate"),
                agent=groups["agent"],
                replay=groups.get("replay", {}),
                collection=groups.get("collection", {}),
                owed_marks=groups.get("owed", {}).get("marks", np.zeros(0, np.int32)),
            )
        except (KeyError, TypeError, ValueError, AttributeError, UserError) as error:
            raise UserError(f"checkpoint {path} does not hold a run: {error}") from None

    def require_current(self, path: Path) -> None:
        """Refuse to continue a run whose state is of another version; its policy can be loaded.

        Raises:
            UserError: if an older program wrote the checkpoint.
        """
        if self.version != VERSION:
            raise UserError(
                f"checkpoint {path} has version {self.version}, this driftpolicy continues runs of "
                f"version {VERSION}: evaluate its policy (dfp eval), or train anew"
            )


def step_of(path: Path) -> int:
    """Return the step in the name of a checkpoint's file.

    Raises:
        UserError: if the file is not named as :meth:`Checkpoint.save` does.
    """
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise UserError(f"{path} is not named like a checkpoint (step-0000001000.npz)")
    return int(match[1])


def save(folder: Path, step: int, meta: dict[str, Any], groups: dict[str, Any]) -> Path:
    """Store ``meta`` (plain JSON values) and groups of named arrays; drop all but the last two.

    Args:
        folder: where checkpoints live.
        step: the training step, part of the file's name.
        meta: small things; must survive JSON.
        groups: by group name, ``{array name: array}``.

    Raises:
        UserError: if the disk is full; earlier checkpoints stay intact.
    """
    path = folder / f"step-{step:010d}.npz"
    _write(path, meta, groups)
    for old in list_checkpoints(folder)[:-KEPT]:
        old.unlink(missing_ok=True)
    return path


def _write(path: Path, meta: dict[str, Any], groups: dict[str, Any]) -> None:
    require_finite(groups.get("agent", {}), f"{path} is not written")
    arrays = {"meta": np.array(json.dumps({"version": VERSION, **meta}))}
    for group, members in groups.items():
        for name, array in members.items():
            arrays[f"{group}/{name}"] = np.asarray(array)
    write_npz(path, arrays, what="checkpoint")


def list_checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints of a folder, oldest first."""
    return sorted(path for path in folder.glob("step-*.npz") if _NAME.fullmatch(path.name))


def load(path: Path, *groups: str) -> tuple[dict[str, Any], dict[str, dict[str, np.ndarray]]]:
    """Return the meta data and the arrays by group, their checksums verified.

    Args:
        path: the file.
        *groups: only these groups (all if none is named).

    Raises:
        UserError: if the file is corrupted, no checkpoint, or of a newer version.
    """
    prefixes = tuple(f"{group}/" for group in groups) or ("",)
    try:
        arrays = read_npz(path, what="checkpoint", only=("meta", *prefixes))
        meta = json.loads(str(arrays.pop("meta")))
        version = meta["version"]
        if type(version) is not int:
            raise ValueError(f"its version is {version!r}")
    except (UserError, KeyError, ValueError, TypeError) as error:
        if not path.name.endswith(".npz"):
            raise UserError(
                f"{path} is no checkpoint: name a run's folder, or a file of its folder checkpoints"
            ) from None
        reason = str(error).removesuffix("; get it again")
        raise UserError(
            f"checkpoint {path} is corrupted ({reason}); delete it to continue from the one before"
        ) from None
    if version > VERSION:
        raise UserError(
            f"checkpoint {path} has version {version}, written by a newer driftpolicy; this one "
            f"reads up to {VERSION}: upgrade it"
        )
    found: dict[str, dict[str, np.ndarray]] = {}
    for name, array in arrays.items():
        group, _, member = name.partition("/")
        found.setdefault(group, {})[member] = array
    return meta, found


def load_replay_observations(path: Path) -> Float32[np.ndarray, "rows observation"] | None:
    """Return the observations in a checkpoint's replay, of which nothing else is read.

    Raises:
        UserError: if the file is corrupted.
    """
    name = "replay/observations"
    return read_npz(path, what="checkpoint", only=(name,)).get(name)


def latest(folder: Path) -> Path:
    """Return the newest checkpoint of a folder.

    Raises:
        UserError: if there is none.
    """
    found = list_checkpoints(folder)
    if not found:
        raise UserError(f"{folder} holds no checkpoint")
    return found[-1]


def checkpoint_of(path: Path) -> Path:
    """Return a checkpoint's file itself, of a run's folder or its folder of checkpoints the newest.

    Raises:
        UserError: if there is none.
    """
    if path.is_file():
        return path
    if not path.is_dir():
        beside = [other.name for other in list_checkpoints(path.parent)]
        there = f"; there are {listing(beside, 5)}" if beside else ""
        raise UserError(f"{path} does not exist{there}")
    found = list_checkpoints(path) or list_checkpoints(path / "checkpoints")
    if not found:
        raise UserError(f"{path} holds no checkpoint")
    return found[-1]
