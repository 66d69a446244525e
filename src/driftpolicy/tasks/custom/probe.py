"""Trying a user's environment: its sizes, bounds and rate, and what it says of success."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64

from driftpolicy.envs.guard import guarded, require_finite
from driftpolicy.errors import UserError
from driftpolicy.tasks.custom.opening import control_rate_of, open_environment
from driftpolicy.tasks.custom.success import reported_success
from driftpolicy.tasks.task import Task

_LONG = 1000  # steps of an episode, for environments that speak of success at its end only


class Facts(NamedTuple):
    """What trying an environment has shown."""

    observation_dim: int
    """Numbers in an observation."""
    action_low: Float64[np.ndarray, " action"]
    """The least values of its action space, which may be infinite."""
    action_high: Float64[np.ndarray, " action"]
    """The greatest values, which may be infinite."""
    control_rate: float | None
    """Steps per second; None where it does not say."""
    reports_success: bool
    """Whether ``info`` says when the task is done."""
    deterministic: bool
    """Whether the same seed and actions gave the same trajectory twice."""
    seeded: bool = True
    """Whether two seeds gave two first observations."""
    observation_low: Float64[np.ndarray, " observation"] | None = None
    """The least values of its observation space, which may be infinite."""
    observation_high: Float64[np.ndarray, " observation"] | None = None
    """The greatest values, which may be infinite."""


def probe(task: Task) -> Facts:
    """Make a task's environment and try it.

    Raises:
        UserError: as :func:`open_environment`, or if it cannot be reset and stepped.
    """
    assert task.custom is not None
    environment = open_environment(task.environment, task.custom.max_episode_steps)
    space = environment.action_space
    low, high = space.low.astype(np.float64), space.high.astype(np.float64)
    middle = ((low.clip(-1e3, 1e3) + high.clip(-1e3, 1e3)) / 2).astype(space.dtype)
    with guarded(f"cannot run {task.environment}"):
        once, reported = _try(environment, middle, 5)
        again, _ = _try(environment, middle, 5)
        if not reported:  # perhaps at the end of an episode only
            _, reported = _try(environment, middle, _LONG)
        elsewhere, _ = _try(environment, middle, 0, seed=1)
    expected = environment.observation_space.shape
    if once[0].shape != expected:
        raise UserError(
            f"{task.environment}: an observation has shape {once[0].shape}, its space {expected}"
        )
    for step, observation in enumerate(once):
        require_finite(observation, 0.0, f"of {task.environment} after {step} steps")
    rate = control_rate_of(environment)
    environment.close()
    same = all(map(np.array_equal, once, again)) and len(once) == len(again)
    return Facts(
        observation_dim=expected[0],
        action_low=low,
        action_high=high,
        control_rate=rate,
        reports_success=reported,
        deterministic=same,
        seeded=not np.array_equal(once[0], elsewhere[0]),
        observation_low=environment.observation_space.low.astype(np.float64),
        observation_high=environment.observation_space.high.astype(np.float64),
    )


def _try(
    environment: Any, action: np.ndarray, steps: int, *, seed: int = 0
) -> tuple[list[np.ndarray], bool]:
    """Return the observations of an episode's start, and whether ``info`` speaks of success."""
    observation, _ = environment.reset(seed=seed)
    seen, reported = [np.array(observation)], False
    for _ in range(steps):
        observation, _, terminated, truncated, info = environment.step(action)
        seen.append(np.array(observation))
        reported = reported or reported_success(info) is not None
        if terminated or truncated:
            break
    return seen, reported
