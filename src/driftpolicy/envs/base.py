"""The protocol of an environment, and its sessions, which can be stored in mid-episode."""

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float32, UInt8

from driftpolicy.envs.guard import guarded, require_finite, require_row
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

    What the environment raises, and numbers that are none, become a UserError of one line that
    says in which step of which episode.

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
        """Start the episode of this seed.

        Raises:
            UserError: if the environment fails, or its observation is no row of finite numbers.
        """
        self._seed, self._actions = seed, []
        where = f"after the reset with seed {seed}"
        with guarded(f"the environment failed in the reset with seed {seed}"):
            observation = self.environment.reset(seed)
        self.observation = self._checked(observation, 0.0, where)
        return self.observation

    def step(self, action: Float[np.ndarray, " action"]) -> Step:
        """Make one control step; the action is rounded to float32, as it is stored.

        Raises:
            UserError: if the environment fails, or gives numbers that are not finite.
        """
        action = np.array(action, np.float32)
        self._actions.append(action)
        step = f"step {len(self._actions)} of the episode with seed {self._seed}"
        with guarded(f"the environment failed in {step}"):
            outcome = self.environment.step(action)
        self.observation = self._checked(outcome.observation, outcome.reward, f"after {step}")
        return outcome

    def _checked(self, observation: np.ndarray, reward: float, where: str) -> np.ndarray:
        require_row(observation, self.environment.observation_dim, where)
        require_finite(observation, reward, where)
        return observation

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
                the simulator's version has changed, or more than the seed decides an episode.
        """
        observation = self.reset(int(state["seed"]))
        for action in state["actions"]:
            observation = self.step(action).observation
        if not np.array_equal(observation, state["observation"]):
            raise UserError(
                "the environment does not reproduce the episode: the same seed and actions led "
                "elsewhere, so either more than the seed decides its episodes, or it has changed, "
                "or its versions or the kind of processor have (compare with dfp doctor)"
            )
