"""Recorded episodes in the user's units, into which every format is read."""

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float32, Int64

from driftpolicy.errors import UserError
from driftpolicy.tasks.custom.columns import WIDE, Columns


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
    parts: frozenset[str] = frozenset()
    """Which of the arrays were stored."""


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
    columns: Columns = dataclasses.field(default_factory=dict)
    """The names of the columns that each part was made of, joined in this order."""
    left_out: int = 0
    """How many episodes were broken and left out."""

    @property
    def lengths(self) -> Int64[np.ndarray, " episodes"]:
        """Steps of each episode."""
        return np.array([len(trajectory.actions) for trajectory in self.trajectories])


def trajectory(where: str, name: str, parts: Mapping[str, np.ndarray]) -> Trajectory:
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
        require_numbers(where, name, part, values)
    steps = len(parts["actions"])
    if steps == 0:
        raise UserError(f"{where}: {name} has no step")
    if len(parts["observations"]) != steps + 1:
        raise UserError(
            f"{where}: {name} has {len(parts['observations'])} observations and {steps} actions; "
            f"needed are {steps + 1}: one before each action, and one after the last"
        )
    flat = {part: values.reshape(-1) for part, values in parts.items() if part not in WIDE}
    for part, values in flat.items():
        if len(values) != steps:
            raise UserError(f"{where}: {name} has {len(values)} {part}, not {steps}")
    for part in {"terminations", "success"} & set(flat):
        flat[part] = yes_or_no(f"{where}: {name}: {part}", flat[part])
    terminations = flat.get("terminations", np.zeros(steps, bool))
    if terminations[:-1].any():
        step = int(terminations.argmax())
        raise UserError(
            f"{where}: {name} goes on after its termination in step {step + 1} of {steps}: "
            "store what follows as an episode of its own"
        )
    rewards = flat.get("rewards")
    with np.errstate(over="ignore"):  # becomes infinity, which the checks name
        return Trajectory(
            name=name,
            observations=np.ascontiguousarray(parts["observations"], np.float32),
            actions=np.ascontiguousarray(parts["actions"], np.float32),
            rewards=None if rewards is None else rewards.astype(np.float32),
            terminated=bool(terminations[-1]),
            success=flat.get("success"),
            parts=frozenset(parts),
        )


def require_numbers(where: str, name: str, part: str, values: np.ndarray) -> None:
    """Raise a UserError unless an array holds numbers or bools."""
    if values.dtype.kind not in "bfiu":
        raise UserError(f"{where}: {name}: {part} are {values.dtype}, not numbers")


def yes_or_no(what: str, values: np.ndarray) -> Bool[np.ndarray, " steps"]:
    """Return flags as bools.

    Raises:
        UserError: naming the first that is neither 0 nor 1, such as NaN or a progress of 0.3.
    """
    wrong = np.flatnonzero((values != 0) & (values != 1))
    if len(wrong):
        raise UserError(
            f"{what} is {values[wrong[0]]:g} in step {wrong[0] + 1} of {len(values)}; only false "
            "and true (0 and 1) say whether it is so"
        )
    return values.astype(bool)
