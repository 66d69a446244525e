"""A method of your own in one file: a one-step policy trained by implicit maximum likelihood.

    uv run dfp train cube-single-play-singletask-task1-v0 --preset quickstart \
        --method examples/imle.py:IMLE --generated 8

Of several samples in a state the one nearest to the data's chunk is pulled towards it (implicit
maximum likelihood estimation, IMLE; Li and Malik 2018, arXiv 1809.09087). Critic, decision rule,
training, checkpoints, evaluation and export are the package's; docs/extending.md goes through the
file.
"""

import dataclasses
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from driftpolicy.agents.actor_critic import ImitatingActorCritic
from driftpolicy.agents.base import Metrics, window_valid
from driftpolicy.agents.config import AgentConfig, require
from driftpolicy.batch import Batch
from driftpolicy.networks import Pushforward


@dataclasses.dataclass(frozen=True, kw_only=True)
class IMLEConfig(AgentConfig):
    """What the method has beside what all methods share; each field is a flag of `dfp train`."""

    best_of: int = 4
    generated: int = 8
    """Samples of the policy per state, of which the nearest to the data learns."""

    def __post_init__(self) -> None:
        """Refuse values out of range.

        Raises:
            UserError: naming the field, its value and its range.
        """
        super().__post_init__()
        require(self, "generated", self.generated >= 1, "at least 1")


class IMLE(ImitatingActorCritic[IMLEConfig]):
    """The agent: which network acts, and what it minimises."""

    Config = IMLEConfig

    @classmethod
    def new_actor(
        cls, config: IMLEConfig, observation_dim: int, chunk_dim: int, key: PRNGKeyArray
    ) -> Pushforward:
        """Return the one-step policy ``a = f(eps, s)``."""
        return Pushforward(observation_dim, chunk_dim, config.actor_hidden, key=key)

    def actor_loss(
        self, actor: Any, batch: Batch, guidance: None, key: PRNGKeyArray
    ) -> tuple[Float[Array, ""], Metrics]:
        """Return the mean of ``min_g |a_g - a|^2 / S`` over the windows inside one episode."""
        chunk = batch.actions.reshape(batch.actions.shape[0], 1, -1)
        samples = actor.sample(batch.observation, self.config.generated, key=key)
        nearest = jnp.min(jnp.mean((samples - chunk) ** 2, axis=-1), axis=1)
        inside = window_valid(batch)
        loss = jnp.sum(inside * nearest) / jnp.maximum(jnp.sum(inside), 1.0)
        return loss, {"imle_loss": loss}
