"""OGBench's manipulation environments, made deterministic."""

import contextlib
import io
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, UInt8

from driftpolicy.envs.base import Step
from driftpolicy.envs.opengl import draw_plainly, drawing, without_opengl
from driftpolicy.tasks.ogbench.goals import describe_goal
from driftpolicy.tasks.ogbench.tasks import CONTROL_RATE
from driftpolicy.tasks.task import Task

ACTION_DIM = 5


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep warnings of OGBench's imports (no display, float64 bounds) off the terminal."""
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def make_simulator(environment_id: str, **options: Any) -> Any:
    """Make a bare OGBench simulator, without gymnasium's wrappers, whose resets depend on the seed.

    OGBench settles its goal scene with two actions from a fresh, unseeded action space at every
    reset; traces of them survive in the solver's warm start and the contact readings. Here the
    action space is one object, seeded with the environment.
    """
    with _quiet(), without_opengl():
        import gymnasium
        import ogbench.manipspace  # noqa: F401  (registers its environments)
        from gymnasium.envs.registration import load_env_creator

        spec = gymnasium.spec(environment_id)
        assert isinstance(spec.entry_point, str)
        kind: Any = load_env_creator(spec.entry_point)
        space = gymnasium.spaces.Box(-1.0, 1.0, (ACTION_DIM,), np.float32)
    seeded = type(f"Seeded{kind.__name__}", (kind,), {"action_space": space})
    simulator = seeded(**{**spec.kwargs, **options})
    simulator.spec = spec
    return simulator


def reset_simulator(simulator: Any, seed: int) -> tuple[np.ndarray, dict[str, Any]]:
    """Reset a simulator with everything seeded: the simulator's generator and its action space."""
    simulator.action_space.seed(seed)
    return simulator.reset(seed=seed)


def sparse_rewards(rewards: Any) -> Float32[np.ndarray, "*steps"]:
    """Return 0 where nothing is out of place, else -1, for rewards that count what is."""
    return np.where(np.asarray(rewards) == 0, np.float32(0), np.float32(-1))


class OGBenchEnvironment:
    """One of OGBench's tasks: the reward is minus the number of things out of place.

    That of a sparse task is -1, and 0 once nothing is.
    """

    def __init__(self, task: Task, render_size: int):
        """Make the simulator of a task, which draws ``render_size`` pixels both ways."""
        self._simulator = make_simulator(task.environment, width=render_size, height=render_size)
        self._limit = self._simulator.spec.max_episode_steps
        self._sparse = bool(task.sparse)
        self._steps = 0
        self.action_dim = ACTION_DIM
        self.control_rate: float | None = CONTROL_RATE
        self.observation_dim = len(self.reset(0))
        draw_plainly(self._simulator.model)

    def reset(self, seed: int) -> Float32[np.ndarray, " observation"]:
        """Start the episode of this seed."""
        self._steps = 0
        observation, _ = reset_simulator(self._simulator, seed)
        return observation.astype(np.float32)

    def step(self, action: Float[np.ndarray, " action"]) -> Step:
        """Make one control step at 20 Hz; success ends the episode."""
        observation, reward, terminated, _, info = self._simulator.step(action)
        self._steps += 1
        return Step(
            observation.astype(np.float32),
            float(sparse_rewards(reward) if self._sparse else reward),
            bool(terminated),
            self._steps >= self._limit and not terminated,
            bool(info["success"]),
        )

    def goal(self) -> str:
        """Say which things are to go where, and in which state."""
        return describe_goal(self._simulator)

    def render(self) -> UInt8[np.ndarray, "height width 3"]:
        """Draw the scene from the front camera.

        Raises:
            UserError: if there is no OpenGL.
        """
        if self._simulator._renderer is None:
            with drawing():
                self._simulator._initialize_renderer()
        return self._simulator.render()
