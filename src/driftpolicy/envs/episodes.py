"""Whole chunks executed open-loop, by objects that can live in worker processes."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from driftpolicy.envs.base import Environment, Session


class Episode(NamedTuple):
    """The outcome of an episode."""

    success: bool
    total_reward: float
    length: int


class EpisodeRunner:
    """Evaluation: an environment that runs episodes chunk by chunk."""

    def __init__(self, make: Callable[[], Environment]):
        """Make an environment by calling ``make``."""
        self._session = Session(make())
        self._reward, self._steps = 0.0, 0

    def sizes(self) -> dict[str, int]:
        """Return how many numbers there are in an observation and in an action."""
        environment = self._session.environment
        return {"observations": environment.observation_dim, "actions": environment.action_dim}

    def reset(self, seed: int) -> np.ndarray:
        """Start the episode of this seed and return its first observation.

        Raises:
            UserError: as :meth:`driftpolicy.envs.base.Session.reset`.
        """
        self._reward, self._steps = 0.0, 0
        return self._session.reset(seed)

    def execute(self, chunk: np.ndarray) -> np.ndarray | Episode:
        """Run the chunk open-loop; return the next observation, or the episode if it ended.

        Raises:
            UserError: as :meth:`driftpolicy.envs.base.Session.step`.
        """
        steps = self._session.execute(chunk)
        for step in steps:  # one after the other, as they were made
            self._reward += step.reward
        self._steps += len(steps)
        last = steps[-1]
        return Episode(last.success, self._reward, self._steps) if last.ended else last.observation


class Played(NamedTuple):
    """The outcome of executing some actions: one entry per step that was made."""

    observations: np.ndarray
    """``[steps, observation]``, after each step."""
    rewards: np.ndarray
    """``[steps]``."""
    terminated: bool
    """The task ended with the last step."""
    ended: bool
    """The episode ended with the last step, in that way or by its time limit."""
    success: bool
    first: np.ndarray | None
    """Where the next episode starts, if this one ended."""


class Player:
    """Training: an environment that plays episode after episode and can return into the middle."""

    def __init__(self, make: Callable[[], Environment]):
        """Make an environment by calling ``make``."""
        self._session = Session(make())

    def begin(self, seed: int) -> np.ndarray:
        """Start the episode of this seed and return its first observation."""
        return self._session.reset(seed)

    def play(self, actions: np.ndarray, next_seed: int) -> Played:
        """Execute ``[steps, action]`` open-loop; an episode's end discards what is left of them.

        Args:
            actions: at least one.
            next_seed: the seed of the episode that begins if this one ends.
        """
        steps = self._session.execute(actions)
        last = steps[-1]
        return Played(
            observations=np.stack([step.observation for step in steps]),
            rewards=np.array([step.reward for step in steps]),
            terminated=last.terminated,
            ended=last.ended,
            success=last.success,
            first=self.begin(next_seed) if last.ended else None,
        )

    def load(self, state: dict[str, np.ndarray]) -> np.ndarray:
        """Restore :meth:`driftpolicy.envs.base.Session.state` and return its observation.

        Raises:
            UserError: as :meth:`driftpolicy.envs.base.Session.load`.
        """
        self._session.load(state)
        return state["observation"]
