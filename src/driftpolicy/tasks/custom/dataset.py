"""Data of one's own, in any of the formats that are read, as transitions in the agent's units."""

from collections.abc import Generator
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from driftpolicy.data import lerobot, minari, plain
from driftpolicy.tasks.custom.checks import accept, findings
from driftpolicy.data.files import crc32
from driftpolicy.tasks.custom.recording import Recording, Trajectory
from driftpolicy.tasks.benchmark import Published
from driftpolicy.data.transitions import Dataset
from driftpolicy.envs.base import Facts
from driftpolicy.tasks.custom.environment import probe
from driftpolicy.tasks.task import Own, Task
from driftpolicy.errors import UserError
from driftpolicy.scaling import Scaling

EPISODES: int = 0
"""Nothing can be collected: data of one's own are recorded."""


@runtime_checkable
class Format(Protocol):
    """What a format's module has."""

    def matches(self, path: Path) -> bool:
        """Whether a file or folder is of this format, at a glance."""
        ...

    def kind(self, path: Path) -> str:
        """What it is stored as, in words."""
        ...

    def files(self, path: Path) -> list[Path]:
        """The files whose contents identify the data."""
        ...

    def read(self, path: Path) -> Recording:
        """All of it."""
        ...


FORMATS: tuple[Format, ...] = (lerobot, minari, plain)


def format_of(path: Path) -> Format:
    """The format of a file or folder.

    Raises:
        UserError: if it is none of those that are read.
    """
    found = next((form for form in FORMATS if form.matches(path)), None)
    if found is None:
        raise UserError(
            f"{path} is no data that can be read here: neither a LeRobotDataset or Minari folder, "
            "nor an .npz or .hdf5 file with episode_0/observations (docs/robot.md says how)"
        )
    return found


def find_dataset(task: Task, data: str | None = None) -> Path:
    """The file or folder that ``data`` names, or the Minari dataset of that name on this machine.

    Raises:
        UserError: if there is none.
    """
    if data is None:
        raise UserError(f"name the data recorded for {task.environment}: --data SOURCE")
    return find_source(data, "--data ")


def find_source(source: str, flag: str = "") -> Path:
    """As :func:`find_dataset`; ``flag`` begins the message."""
    for path in (Path(source).expanduser(), minari.root() / source):
        if path.exists():
            return path
    raise UserError(
        f"{flag}{source} does not exist, neither here nor among the datasets in {minari.root()}"
    )


def published(task: Task) -> Published:
    """Nowhere.

    Raises:
        UserError: always.
    """
    raise UserError(f"nobody publishes data of {task.environment}: record them (docs/robot.md)")


def collected_path(dataset: str) -> Path:
    """Nowhere.

    Raises:
        UserError: always.
    """
    raise UserError(f"data of {dataset} cannot be collected here: record them (docs/robot.md)")


def collect(
    task: Task, path: Path, *, episodes: int, seed: int, processes: int, **options: int
) -> Generator[int, None, None]:
    """Nothing.

    Raises:
        UserError: always.
    """
    collected_path(task.dataset)
    yield 0


def describe(path: Path) -> dict[str, Any]:
    """What the data are stored as, and ``crc32``, which identifies them.

    Raises:
        UserError: if they are of no format that is read here.
    """
    form = format_of(path)
    return {"origin": form.kind(path), "path": str(path), "crc32": crc32(form.files(path))}


def load_dataset(task: Task, path: Path, mask: str | None = None) -> Dataset:
    """Read data as transitions in the agent's units; what is suspicious about them comes along.

    Raises:
        UserError: if they cannot be read, do not fit the environment, or nothing can be learned
            from them; if nothing says when the environment's task is done; if a mask is asked for.
    """
    assert task.own is not None
    if mask is not None:
        raise UserError(f"only Robomimic's files have masks: leave --data-mask {mask} out")
    facts = probe(task)
    _require_success(task, facts)
    recording = format_of(path).read(path)
    try:
        remarks = accept(findings(recording, task.own, facts))
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    if task.own.reward == "own" and recording.trajectories[0].rewards is None:
        raise UserError(
            f"{path} holds no rewards; --reward success makes them: -1 per step, 0 at success"
        )
    parts = [_rows(trajectory, task.own) for trajectory in recording.trajectories]
    columns: dict[str, Any] = {
        name: np.concatenate([part[name] for part in parts]) for name in parts[0]
    }
    scaling = scaling_of(columns["observations"], columns["actions"][~columns["last"]], task, facts)
    columns["observations"] = scaling.observations(columns["observations"])
    columns["actions"] = scaling.actions(columns["actions"])
    rate = facts.control_rate or recording.control_rate
    return Dataset(**columns, scaling=scaling, remarks=remarks, control_rate=rate)


def _require_success(task: Task, facts: Facts) -> None:
    """Exactly one thing says when an episode is a success."""
    assert task.own is not None
    stated = task.own.success_return
    if stated is None and not facts.tells_success:
        raise UserError(
            f"{task.environment} does not say when it succeeds (no success in its info): state the "
            "return from which an episode counts as a success (--success-return X)"
        )
    if stated is not None and facts.tells_success:
        raise UserError(
            f"{task.environment} says itself when it succeeds: leave --success-return {stated:g} "
            "out"
        )
    if stated is not None and task.own.reward == "success":
        raise UserError(
            "--reward success needs an environment with success in its info: a return is known at "
            "an episode's end only"
        )


def _rows(trajectory: Trajectory, own: Own) -> dict[str, np.ndarray]:
    """Rows in the layout of :class:`Dataset`, in the user's units.

    With ``reward="success"`` up to the first success, as an episode of the environment then is.
    """
    steps = len(trajectory.actions)
    if own.reward == "own":
        assert trajectory.rewards is not None
        rewards, terminated = trajectory.rewards, trajectory.terminated
    else:
        success = trajectory.success
        if success is None:
            success = np.arange(1, steps + 1) == steps
        if success.any():
            steps = int(success.argmax()) + 1
        rewards = success[:steps].astype(np.float32) - 1.0
        terminated = bool(success[steps - 1]) or (
            trajectory.terminated and steps == len(trajectory.actions)
        )
    masks = np.ones(steps, np.float32)
    masks[-1] = 0.0 if terminated else 1.0
    columns = {"actions": trajectory.actions[:steps], "rewards": rewards, "masks": masks}
    padded = {name: np.concatenate([v, np.zeros_like(v[:1])]) for name, v in columns.items()}
    last = np.arange(steps + 1) == steps
    return {"observations": trajectory.observations[: steps + 1], **padded, "last": last}


def scaling_of(observations: np.ndarray, actions: np.ndarray, task: Task, facts: Facts) -> Scaling:
    """The affine maps that the user chose.

    Args:
        observations: all rows, in the user's units.
        actions: of all steps, in the user's units.
        task: says the choice.
        facts: of the environment.

    Raises:
        UserError: if the chosen bounds are infinite or leave no room.
    """
    assert task.own is not None
    low, high = facts.action_low, facts.action_high
    if task.own.action_bounds == "data":
        low, high = actions.min(axis=0), actions.max(axis=0)
    bad = np.flatnonzero(~np.isfinite(low) | ~np.isfinite(high) | (low >= high))
    if len(bad) and task.own.action_bounds == "data":
        raise UserError(
            f"number {bad[0]} of the data's actions is always {low[bad[0]]:g}: the data give it no "
            "bounds (--action-bounds space takes the environment's)"
        )
    if len(bad):
        raise UserError(
            f"the environment's actions go from {low[bad[0]]:g} to {high[bad[0]]:g} in number "
            f"{bad[0]}, which are no bounds; --action-bounds data takes the data's"
        )
    mean, deviation = np.zeros(observations.shape[1]), np.ones(observations.shape[1])
    if task.own.normalise_observations:
        mean = observations.mean(axis=0, dtype=np.float64)
        deviation = observations.std(axis=0, dtype=np.float64)
        deviation[observations.min(axis=0) == observations.max(axis=0)] = 1.0
    values = (mean, deviation, low, high)
    return Scaling(*(tuple(array.astype(np.float32).tolist()) for array in values))
