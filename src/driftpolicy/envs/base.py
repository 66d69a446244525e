"""The protocol of an environment, and its sessions, which can be stored in mid-episode."""

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float32, UInt8

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

    @property
    def ended(self) -> bool:
        """Whether the episode ended, in either way."""
        return self.terminated or self.truncated


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
        """Make one control step with an action in [-1, 1]."""
        ...

    def goal(self) -> str:
        """Say in words what is to be done in this episode; to be asked at its start."""
        ...

    def render(self) -> UInt8[np.ndarray, "height width 3"]:
        """Draw the present scene as an RGB image."""
        ...


def episode_seed(*path: int) -> int:
    """Return a 32-bit seed for an episode, a pure function of the numbers that name it."""
    return int(np.random.SeedSequence(path).generate_state(1)[0])


class Session:
    """An environment in the middle of an episode, whose state can be stored and restored exactly.

    The state is the episode's seed and the actions so far: simulators are deterministic, so
    replaying them restores every hidden variable (solver warm starts, controller memory, time),
    whatever the simulator.
    """

    def __init__(self, environment: Environment):
        """Wrap ``environment``, which must be used through this session only."""
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
        """Make one control step; the action is rounded to float32, as it is stored."""
        action = np.array(action, np.float32)
        self._actions.append(action)
        outcome = self.environment.step(action)
        self.observation = outcome.observation
        return outcome

    def execute(self, actions: Float[np.ndarray, "steps action"]) -> list[Step]:
        """Run actions open-loop; the end of the episode discards what is left of them."""
        steps: list[Step] = []
        for action in actions:
            steps.append(self.step(action))
            if steps[-1].ended:
                break
        return steps

    def state(self) -> dict[str, np.ndarray]:
        """Return what a checkpoint stores."""
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
