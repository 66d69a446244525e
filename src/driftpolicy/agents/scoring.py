"""How an ensemble of critics values candidates and chooses among them."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from driftpolicy.agents.config import AgentConfig
from driftpolicy.networks import CriticEnsemble, round_weights

_LEAST_VARIANCE = 1e-12


def aggregate(config: AgentConfig, values: Float[Array, "members ..."]) -> Float[Array, "..."]:
    """Return one value from those of the members: their mean, their minimum, or pessimistic."""
    if config.critic_aggregation == "min":
        return jnp.min(values, axis=0)
    mean = jnp.mean(values, axis=0)
    if config.critic_aggregation == "mean":
        return mean
    # The gradient of a root at zero, where members agree, would be infinite.
    variance = jnp.mean((values - mean[None]) ** 2, axis=0)
    deviation = jnp.sqrt(variance + _LEAST_VARIANCE)
    return mean - config.pessimism * deviation


def score(
    config: AgentConfig,
    critic: CriticEnsemble,
    observation: Float[Array, "*batch observation"],
    chunks: Float[Array, "*batch candidates chunk"],
) -> Float[Array, "*batch candidates"]:
    """Return ``Q(s, a)`` of each candidate, to choose by."""
    if config.scoring_precision == "bfloat16":
        critic = round_weights(critic, jnp.bfloat16)
    return aggregate(config, critic(observation[..., None, :], chunks))


def best(
    config: AgentConfig,
    critic: CriticEnsemble,
    observation: Float[Array, "*batch observation"],
    chunks: Float[Array, "*batch candidates chunk"],
) -> Float[Array, "*batch chunk"]:
    """Return the candidate of highest ``Q`` in each state."""
    if chunks.shape[-2] == 1:
        return chunks[..., 0, :]
    index = jnp.argmax(score(config, critic, observation, chunks), axis=-1)
    return jnp.take_along_axis(chunks, index[..., None, None], axis=-2)[..., 0, :]


def top_k(
    config: AgentConfig,
    critic: CriticEnsemble,
    observation: Float[Array, "*batch observation"],
    chunks: Float[Array, "*batch candidates chunk"],
    count: int,
) -> Float[Array, "*batch {count} chunk"]:
    """Return the ``count`` candidates of highest ``Q`` in each state, best first."""
    _, index = jax.lax.top_k(score(config, critic, observation, chunks), count)
    return jnp.take_along_axis(chunks, index[..., None], axis=-2)
