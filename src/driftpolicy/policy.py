"""A trained policy, loaded from nothing but its path."""

from pathlib import Path

import jax
import numpy as np
from jaxtyping import Float

from driftpolicy.agents import Agent
from driftpolicy.config import TrainConfig
from driftpolicy.errors import UserError
from driftpolicy.runs.checkpoints import checkpoint_of
from driftpolicy.scaling import Scaling
from driftpolicy.training.restore import load_agent


class Policy:
    """A trained agent and its decision rule. ``config`` says what it was trained on."""

    def __init__(
        self,
        agent: Agent,
        config: TrainConfig,
        observation_dim: int,
        scaling: Scaling | None = None,
    ):
        """See :func:`load_policy`."""
        self.scaling = scaling
        self.agent = agent
        self.config = config
        self.observation_dim = observation_dim
        self._decide = jax.jit(lambda rule, observation, noise: rule(observation, noise))

    def act(
        self, observation: Float[np.ndarray, "*batch observation"], seed: int
    ) -> Float[np.ndarray, "*batch chunk action"]:
        """The method's decision at one observation or a batch: H actions.

        They are in [-1, 1], of a run with data of one's own in the units of these data.

        Args:
            observation: as the task's environment gives it.
            seed: of the decision's noise; the same seed gives the same chunk.

        Raises:
            UserError: if the observation has the wrong size or is not finite.
        """
        observation = np.asarray(observation, np.float32)
        if observation.shape[-1:] != (self.observation_dim,):
            raise UserError(
                f"the policy takes observations of {self.observation_dim} numbers, "
                f"not of shape {observation.shape}"
            )
        if not np.isfinite(observation).all():
            raise UserError("the observation holds NaN or infinity")
        if self.scaling is not None:
            observation = self.scaling.observations(observation)
        rule = self.agent.decision_rule
        noise = rule.draw_noise(jax.random.key(seed), observation.shape[:-1])
        chunk = np.asarray(self._decide(rule, observation, noise))
        return chunk if self.scaling is None else self.scaling.raw_actions(chunk)


def load_policy(path: str | Path) -> Policy:
    """The policy of a run folder (its newest checkpoint) or of a checkpoint file.

    Raises:
        UserError: if there is none, or it is corrupted or of a newer version.
    """
    agent, config, meta = load_agent(checkpoint_of(Path(path)))
    return Policy(agent, config, meta["dims"][0], Scaling.from_json(meta.get("scaling")))
