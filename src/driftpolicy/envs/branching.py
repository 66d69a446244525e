"""An environment that returns to a moment of an episode, to try what else could be done."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32

from driftpolicy.envs.base import Environment, Session


class Executed(NamedTuple):
    """What executing a chunk came to."""

    observation: Float32[np.ndarray, " observation"]
    """After the last step that was made."""
    rewards: Float[np.ndarray, " steps"]
    terminated: bool
    """The task ended with the last step: no value follows."""
    ended: bool
    """The episode ended with the last step, in that way or by its time limit."""
    success: bool
    """Of the last step."""


class Moment(NamedTuple):
    """A moment of an episode from which it can go on again and again."""

    state: dict[str, np.ndarray]

    @property
    def observation(self) -> Float32[np.ndarray, " observation"]:
        """The observation at that moment."""
        return self.state["observation"]


class Branching:
    """An environment that executes chunks, remembers moments and returns to them.

    A return replays the episode from its seed, so it takes as long as the episode took until then.
    """

    def __init__(self, environment: Environment):
        """Wrap ``environment``, which must be used through this object only."""
        self._session = Session(environment)

    def reset(self, seed: int) -> Float32[np.ndarray, " observation"]:
        """Start the episode of this seed."""
        return self._session.reset(seed)

    def moment(self) -> Moment:
        """Return the present moment."""
        return Moment(self._session.state())

    def return_to(self, moment: Moment) -> None:
        """Make an earlier moment the present one.

        Raises:
            UserError: if the simulator does not reproduce it.
        """
        self._session.load(moment.state)

    def execute(self, chunk: Float[np.ndarray, "chunk action"]) -> Executed:
        """Run the chunk open-loop; the end of the episode discards what is left of it."""
        steps = self._session.execute(chunk)
        last = steps[-1]
        return Executed(
            observation=last.observation,
            rewards=np.array([step.reward for step in steps]),
            terminated=last.terminated,
            ended=last.ended,
            success=last.success,
        )
