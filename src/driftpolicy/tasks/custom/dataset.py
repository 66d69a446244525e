"""Recordings of a custom environment as transitions in the agent's units."""

from pathlib import Path
from typing import Any

import numpy as np

from driftpolicy.data.files import crc32
from driftpolicy.data.findings import accept
from driftpolicy.data.transitions import Dataset
from driftpolicy.errors import UserError, listing
from driftpolicy.scaling import Scaling
from driftpolicy.tasks.benchmark import LoadOptions
from driftpolicy.tasks.custom.checks import check_recording
from driftpolicy.tasks.custom.columns import parse_columns
from driftpolicy.tasks.custom.formats import find_source, format_of
from driftpolicy.tasks.custom.probe import Facts, probe
from driftpolicy.tasks.custom.recording import Recording, Trajectory
from driftpolicy.tasks.custom.stored import ReadOptions
from driftpolicy.tasks.task import CustomSettings, Task


def find_dataset(task: Task, data: str | None = None) -> Path:
    """Return the file or folder that ``data`` names, or the Minari dataset of that name.

    Raises:
        UserError: if there is none.
    """
    if data is None:
        raise UserError(f"name the data recorded for {task.environment}: --data SOURCE")
    return find_source(data, "--data ")


def describe(path: Path) -> dict[str, Any]:
    """Describe what data are stored as; ``crc32`` identifies them.

    Raises:
        UserError: if they are of no format that is read here.
    """
    form = format_of(path)
    return {"origin": form.kind(path), "path": str(path), "crc32": crc32(form.files(path))}


def load_dataset(task: Task, path: Path, options: LoadOptions | None = None) -> Dataset:
    """Read data as transitions in the agent's units; what is suspicious about them comes along.

    Args:
        task: of the environment, with the user's settings.
        path: of the file or folder.
        options: how they are read.

    Raises:
        UserError: if they cannot be read, do not fit the environment, or nothing can be learned
            from them; if nothing says when the environment's task is done; if a mask is asked for.
    """
    assert task.custom is not None
    options = options or LoadOptions()
    if options.mask is not None:
        raise UserError(f"only Robomimic's files have masks: leave --data-mask {options.mask} out")
    facts = probe(task)
    _require_success(task, facts)
    reading = ReadOptions(
        columns=parse_columns(task.custom.columns),
        skip_broken=options.skip_broken,
        ends_at_success=task.custom.reward == "success",
        warn=options.warn,
    )
    recording = format_of(path).read(path, reading)
    try:
        remarks = accept(check_recording(recording, task.custom, facts))
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    if task.custom.reward == "own" and recording.trajectories[0].rewards is None:
        raise UserError(
            f"{path} holds no rewards; --reward success makes them: -1 per step, 0 at success"
        )
    parts = [_rows(trajectory, task.custom) for trajectory in recording.trajectories]
    columns: dict[str, Any] = {
        name: np.concatenate([part[name] for part in parts]) for name in parts[0]
    }
    scaling = scaling_of(columns["observations"], columns["actions"][~columns["last"]], task, facts)
    columns["observations"] = scaling.observations(columns["observations"])
    columns["actions"] = scaling.actions(columns["actions"])
    rate = facts.control_rate or recording.control_rate
    remarks += _not_read(recording)
    return Dataset(**columns, scaling=scaling, remarks=remarks, control_rate=rate)


def _not_read(recording: Recording) -> tuple[str, ...]:
    """Return the line that says what else is stored and not trained on, if anything is."""
    if not recording.ignored:
        return ()
    used = ", ".join(recording.columns.get("observations", ("observations",)))
    return (
        f"the observation is made of {used}; stored too, but not read: "
        f"{listing(recording.ignored)} (--columns observation=NAME,NAME takes others)",
    )


def _require_success(task: Task, facts: Facts) -> None:
    """Raise a UserError unless exactly one thing says when an episode is a success."""
    assert task.custom is not None
    stated = task.custom.success_return
    if stated is None and not facts.reports_success:
        raise UserError(
            f"{task.environment} does not say when it succeeds (no success in its info): state the "
            "return from which an episode counts as a success (--success-return X)"
        )
    if stated is not None and facts.reports_success:
        raise UserError(
            f"{task.environment} says itself when it succeeds: leave --success-return {stated:g} "
            "out"
        )
    if stated is not None and task.custom.reward == "success":
        raise UserError(
            "--reward success needs an environment with success in its info: a return is known at "
            "an episode's end only"
        )


def _rows(trajectory: Trajectory, settings: CustomSettings) -> dict[str, np.ndarray]:
    """Return rows in the layout of :class:`Dataset`, in the user's units.

    With ``reward="success"`` up to the first success, as an episode of the environment then is.
    """
    steps = len(trajectory.actions)
    if settings.reward == "own":
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
    """Return the affine maps that the user chose.

    Args:
        observations: all rows, in the user's units.
        actions: of all steps, in the user's units.
        task: says the choice.
        facts: of the environment.

    Raises:
        UserError: if the chosen bounds are infinite or leave no room.
    """
    assert task.custom is not None
    low, high = facts.action_low, facts.action_high
    if task.custom.action_bounds == "data":
        low, high = actions.min(axis=0), actions.max(axis=0)
    with np.errstate(over="ignore"):  # beyond float32 is infinite
        least, greatest = low.astype(np.float32), high.astype(np.float32)
    bad = np.flatnonzero(~np.isfinite(least) | ~np.isfinite(greatest) | (least >= greatest))
    if len(bad) and task.custom.action_bounds == "data":
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
    if task.custom.normalise_observations:
        mean = observations.mean(axis=0, dtype=np.float64)
        deviation = observations.std(axis=0, dtype=np.float64)
        deviation[observations.min(axis=0) == observations.max(axis=0)] = 1.0
    return Scaling(
        observation_mean=_numbers(mean),
        observation_deviation=_numbers(deviation),
        action_low=tuple(low.astype(np.float64).tolist()),
        action_high=tuple(high.astype(np.float64).tolist()),
    )


def _numbers(values: np.ndarray) -> tuple[float, ...]:
    """Return numbers that are the same when they are read back as float32."""
    return tuple(values.astype(np.float32).tolist())
