"""What is in a data file, in numbers."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int64

from driftpolicy.data.files import read_npz
from driftpolicy.tasks.ogbench.dataset import REQUIRED, describe
from driftpolicy.tasks.benchmark import source_of
from driftpolicy.tasks.task import Task
from driftpolicy.errors import UserError


@dataclasses.dataclass(frozen=True)
class Summary:
    """A data file, before it is relabelled for any task."""

    description: dict[str, Any]
    """Who made it (:func:`driftpolicy.tasks.ogbench.dataset.describe`)."""
    size: int
    """Bytes on the disk."""
    arrays: dict[str, str]
    """Type and shape of each array, as ``float32 [1001, 28]``."""
    rows: int
    """Stored observations."""
    lengths: Int64[np.ndarray, " episodes"]
    """Transitions of each episode; the last one may lack its end."""
    complete: bool
    """Whether the data end where an episode ends."""
    action_range: tuple[float, float]
    """The least and the greatest number in the actions; NaN if there is one."""
    not_finite: dict[str, int]
    """How many numbers of each array are NaN or infinite, where there are any."""


@dataclasses.dataclass(frozen=True)
class Rewards:
    """A data file relabelled with a task's goal. Final observations do not count."""

    least: float
    """The least reward of a transition."""
    greatest: float
    """The greatest."""
    mean_return: float
    """The sum of an episode's rewards, averaged over episodes."""
    at_goal: int
    """Transitions with mask 0."""
    episodes_with_goal: int
    """Episodes with such a transition."""
    episodes: int
    """All episodes."""


@dataclasses.dataclass(frozen=True)
class Demonstrations:
    """A file in Robomimic's layout."""

    description: dict[str, Any]
    """Who made it (:func:`driftpolicy.tasks.robomimic.dataset.describe`)."""
    environment: str
    """robosuite's name of it."""
    version: str
    """Of robosuite, at recording."""
    robot: str
    """Such as Panda."""
    controller: str
    """Such as OSC_POSE."""
    lengths: Int64[np.ndarray, " demos"]
    """Steps of each demonstration, in numeric order."""
    returns: Float64[np.ndarray, " demos"] | None
    """Sum of the recorded rewards; None where the file has none."""
    observations: str
    """What is seen, or how it is to be had."""
    masks: dict[str, int]
    """Demonstrations of each named selection: operators, levels, train and valid."""


def summarise(path: Path) -> Summary:
    """Read a whole file, its checksums verified.

    Raises:
        UserError: if the file is missing, truncated, or no OGBench dataset.
    """
    arrays = read_npz(path)
    absent = [name for name in REQUIRED if name not in arrays]
    if absent:
        raise UserError(f"{path} is not an OGBench dataset: it has no {', '.join(absent)}")
    data = {name: array for name, array in arrays.items() if array.ndim > 0}
    rows = {name: len(data.get(name, ())) for name in REQUIRED}
    if len(set(rows.values())) != 1 or not rows["observations"]:
        counts = ", ".join(f"{name} {count}" for name, count in rows.items())
        raise UserError(f"{path} is not an OGBench dataset: its arrays differ in rows ({counts})")
    numbers = {name: array for name, array in data.items() if array.dtype.kind in "bfiu"}
    odd = [name for name in REQUIRED if name not in numbers]
    if odd:
        raise UserError(f"{path} is not an OGBench dataset: {', '.join(odd)} are not numbers")
    last = data["terminals"].astype(bool).reshape(rows["terminals"], -1)[:, 0]
    bad = {name: int(np.sum(~np.isfinite(array))) for name, array in numbers.items()}
    return Summary(
        description=describe(path),
        size=path.stat().st_size,
        arrays={name: f"{array.dtype} {list(array.shape)}" for name, array in data.items()},
        rows=rows["observations"],
        lengths=_episode_lengths(last),
        complete=bool(last[-1]),
        action_range=(float(data["actions"].min()), float(data["actions"].max())),
        not_finite={name: count for name, count in bad.items() if count},
    )


def _episode_lengths(last: Bool[np.ndarray, " rows"]) -> Int64[np.ndarray, " episodes"]:
    """Transitions per episode: one less than its rows."""
    ends = np.flatnonzero(last)
    if len(ends) == 0 or ends[-1] != len(last) - 1:
        ends = np.append(ends, len(last) - 1)
    return np.diff(ends, prepend=-1) - 1


def rewards(task: Task, path: Path) -> Rewards:
    """What a file is worth for a task.

    Raises:
        UserError: if the task cannot be trained on the file.
    """
    dataset = source_of(task).load_dataset(task, path)
    moves = ~dataset.rows.last
    episode = np.cumsum(dataset.rows.last) - dataset.rows.last
    returns = np.bincount(episode[moves], dataset.rows.rewards[moves], minlength=dataset.episodes)
    at_goal = moves & (dataset.rows.masks == 0)
    return Rewards(
        least=float(dataset.rows.rewards[moves].min()),
        greatest=float(dataset.rows.rewards[moves].max()),
        mean_return=float(returns.mean()),
        at_goal=int(at_goal.sum()),
        episodes_with_goal=len(np.unique(episode[at_goal])),
        episodes=dataset.episodes,
    )


def summarise_demonstrations(path: Path) -> Demonstrations:
    """Read a whole file of demonstrations.

    Raises:
        UserError: if it is missing, damaged, or none in Robomimic's layout.
    """
    from driftpolicy.tasks.robomimic import dataset as robomimic
    from driftpolicy.tasks.robomimic.demonstrations import DemoFile
    from driftpolicy.tasks.robomimic.environment import OBSERVATION_KEYS

    with DemoFile(path) as file:
        demos = [file.demo(name) for name in file.names]
        controller = file.arguments.get("controller_configs") or {}
        arm = controller.get("body_parts", {}).get("right", controller)
        robots = file.arguments.get("robots", "?")
        seen = demos[0].observations
        returns = [float(demo.rewards.sum()) for demo in demos if demo.rewards is not None]
        return Demonstrations(
            description=robomimic.describe(path),
            environment=file.environment,
            version=file.version,
            robot=robots if isinstance(robots, str) else ", ".join(robots),
            controller=str(arm.get("type", "?")),
            lengths=np.array([len(demo.actions) for demo in demos]),
            returns=np.array(returns) if len(returns) == len(demos) else None,
            observations="none: states only, seen by replaying them"
            if seen is None
            else f"{', '.join(OBSERVATION_KEYS)} ({seen.shape[1]} numbers)",
            masks={name: len(members) for name, members in file.masks().items()},
        )
