"""What the loops know of a simulator."""

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float32, Float64, UInt8

from driftpolicy.tasks.task import Task
from driftpolicy.errors import UserError


class Step(NamedTuple):
    """The outcome of one control step."""

    observation: Float32[np.ndarray, " observation"]
    reward: float
    terminated: bool
    """The task ended (success): no value follows."""
    truncated: bool
    """The time limit ended the episode: value follows."""
    success: bool


@runtime_checkable
class Environment(Protocol):
    """A single environment. A reset seeds everything: same seed and actions, same trajectory."""

    observation_dim: int
    action_dim: int
    control_rate: float | None
    """Steps per second; None where nobody says."""

    def reset(self, seed: int) -> Float32[np.ndarray, " observation"]:
        """Start the episode of this seed."""
        ...

    def step(self, action: Float[np.ndarray, " action"]) -> Step:
        """One control step with an action in [-1, 1]."""
        ...

    def goal(self) -> str:
        """What is to be done in this episode, in words; to be asked at its start."""
        ...

    def render(self) -> UInt8[np.ndarray, "height width 3"]:
        """The present scene as an RGB image."""
        ...


class Facts(NamedTuple):
    """What an environment of the user's own says of itself."""

    observation_dim: int
    action_low: Float64[np.ndarray, " action"]
    """May be infinite."""
    action_high: Float64[np.ndarray, " action"]
    control_rate: float | None
    tells_success: bool
    """Whether ``info`` says when the task is done."""
    deterministic: bool
    """Whether the same seed and actions gave the same trajectory twice."""


def make_environment(task: Task, *, render_size: int = 480) -> Environment:
    """The simulator of a task.

    Args:
        task: which.
        render_size: width and height of its images in pixels; not of a user's own environment.

    Raises:
        UserError: if the task's simulator is not there.
    """
    if task.benchmark == "ogbench":
        from driftpolicy.tasks.ogbench.environment import OGBenchEnvironment

        return OGBenchEnvironment(task, render_size)
    if task.benchmark == "robomimic":
        from driftpolicy.tasks.robomimic.environment import RobomimicEnvironment

        return RobomimicEnvironment(task, render_size)
    if task.benchmark == "gymnasium":
        from driftpolicy.tasks.custom.environment import GymnasiumEnvironment

        return GymnasiumEnvironment(task)
    raise UserError(f"no simulator for the benchmark {task.benchmark!r}")


def episode_seed(*path: int) -> int:
    """A 32-bit seed for an episode, a pure function of the numbers that name it."""
    return int(np.random.SeedSequence(path).generate_state(1)[0])


class Session:
    """An environment in the middle of an episode, whose state can be stored and restored exactly.

    The state is the episode's seed and the actions so far: simulators are deterministic, so
    replaying them restores every hidden variable (solver warm starts, controller memory, time),
    whatever the simulator.
    """

    def __init__(self, environment: Environment):
        """Wraps ``environment``, which must be used through this session only."""
        self.environment = environment
        self.observation: np.ndarray | None = None
        self._seed = 0
        self._actions: list[np.ndarray] = []

    def reset(self, seed: int) -> Float32[np.ndarray, " observation"]:
        """Start the episode of this seed."""
        self._seed, self._actions = seed, []
        self.observation = self.environment.reset(seed)
        return self.observation

    def step(self, action: Float[np.ndarray, " action"]) -> Step:
        """One control step; the action is rounded to float32, as it is stored."""
        action = np.array(action, np.float32)
        self._actions.append(action)
        outcome = self.environment.step(action)
        self.observation = outcome.observation
        return outcome

    def state(self) -> dict[str, np.ndarray]:
        """What a checkpoint stores."""
        assert self.observation is not None
        dim = self.environment.action_dim
        return {
            "seed": np.array(self._seed, np.uint64),
            "actions": np.array(self._actions, np.float32).reshape(-1, dim),
            "observation": self.observation,
        }

    def load(self, state: dict[str, np.ndarray]) -> None:
        """Restore :meth:`state` by replaying the episode.

        Raises:
            UserError: if the replay does not reproduce the stored observation bit for bit, as when
                the simulator's version has changed.
        """
        observation = self.reset(int(state["seed"]))
        for action in state["actions"]:
            observation = self.step(action).observation
        if not np.array_equal(observation, state["observation"]):
            raise UserError(
                "the simulator does not reproduce the checkpoint's episode: it was written with "
                "other versions or on another kind of processor (compare with dfp doctor)"
            )
