"""Recorded episodes in the user's units, into which every format is read."""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float32, Int64

from driftpolicy.errors import UserError


@dataclasses.dataclass(frozen=True)
class Trajectory:
    """One episode, of T steps."""

    name: str
    """As messages name it, for instance ``episode_3``."""
    observations: Float32[np.ndarray, "rows observation"]
    """T+1 of them: before each step, and after the last."""
    actions: Float32[np.ndarray, "steps action"]
    rewards: Float32[np.ndarray, " steps"] | None
    """None where the data have none."""
    terminated: bool
    """Whether the task ended with the last step; else the recording did."""
    success: Bool[np.ndarray, " steps"] | None
    """Whether each step was a success; None where the data do not say."""


@dataclasses.dataclass(frozen=True)
class Recording:
    """A whole set of data."""

    kind: str
    """What it is stored as, for instance ``LeRobotDataset v3.0``."""
    trajectories: list[Trajectory]
    """At least one, all with the same numbers per observation and per action."""
    control_rate: float | None
    """Steps per second; None where the data do not say."""
    ignored: tuple[str, ...] = ()
    """Names of what is stored too and not read."""

    @property
    def lengths(self) -> Int64[np.ndarray, " episodes"]:
        """Steps of each episode."""
        return np.array([len(trajectory.actions) for trajectory in self.trajectories])


def trajectory(where: str, name: str, parts: dict[str, np.ndarray]) -> Trajectory:
    """Return one episode from its arrays, as Gymnasium names them.

    Args:
        where: the file or folder, for messages.
        name: of the episode.
        parts: ``observations [T+1, D]``, ``actions [T, A]``, and where there are any
            ``rewards [T]``, ``terminations [T]``, ``success [T]``.

    Raises:
        UserError: naming what is missing or does not fit.
    """
    for part in ("observations", "actions"):
        if part not in parts:
            raise UserError(f"{where}: {name} has no {part}")
        if parts[part].ndim != 2:
            raise UserError(f"{where}: {name}: {part} have shape {parts[part].shape}, not [T, n]")
    for part, values in parts.items():
        if values.dtype.kind not in "bfiu":
            raise UserError(f"{where}: {name}: {part} are {values.dtype}, not numbers")
    steps = len(parts["actions"])
    if steps == 0:
        raise UserError(f"{where}: {name} has no step")
    if len(parts["observations"]) != steps + 1:
        raise UserError(
            f"{where}: {name} has {len(parts['observations'])} observations and {steps} actions; "
            f"needed are {steps + 1}: one before each action, and one after the last"
        )
    flat = {name: values.reshape(-1) for name, values in parts.items() if name not in _WIDE}
    for part, values in flat.items():
        if len(values) != steps:
            raise UserError(f"{where}: {name} has {len(values)} {part}, not {steps}")
    terminations = flat.get("terminations", np.zeros(steps)).astype(bool)
    if terminations[:-1].any():
        step = int(terminations.argmax())
        raise UserError(
            f"{where}: {name} goes on after its termination in step {step + 1} of {steps}: "
            "store what follows as an episode of its own"
        )
    success = flat.get("success")
    rewards = flat.get("rewards")
    return Trajectory(
        name=name,
        observations=np.ascontiguousarray(parts["observations"], np.float32),
        actions=np.ascontiguousarray(parts["actions"], np.float32),
        rewards=None if rewards is None else rewards.astype(np.float32),
        terminated=bool(terminations[-1]),
        success=None if success is None else success.astype(bool),
    )


_WIDE = ("observations", "actions")


def complete(where: str, recording: Recording) -> Recording:
    """Return the recording itself, once it is clear that its episodes fit each other.

    Raises:
        UserError: if there is none, or two differ in their widths or in what they hold.
    """
    if not recording.trajectories:
        raise UserError(f"{where} holds no episode")
    first = recording.trajectories[0]
    for other in recording.trajectories:
        for what in _WIDE:
            wide, expected = getattr(other, what).shape[1], getattr(first, what).shape[1]
            if wide != expected:
                raise UserError(
                    f"{where}: {other.name} has {what} of {wide} numbers, {first.name} of "
                    f"{expected}"
                )
        for what in ("rewards", "success"):
            if (getattr(other, what) is None) != (getattr(first, what) is None):
                raise UserError(f"{where}: {what} are stored for some of its episodes only")
    return recording
