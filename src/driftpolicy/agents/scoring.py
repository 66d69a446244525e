"""How an ensemble of critics values candidates and chooses among them."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from driftpolicy.agents.config import AgentConfig
from driftpolicy.networks import CriticEnsemble, round_weights

_LEAST_VARIANCE = 1e-12
_ROUNDING = 1e-4  # differences among values below this share of them are rounding


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


def score_by_members(
    config: AgentConfig,
    critic: CriticEnsemble,
    observation: Float[Array, "*batch observation"],
    chunks: Float[Array, "*batch candidates chunk"],
) -> Float[Array, "members *batch candidates"]:
    """Return each member's ``Q_i(s, a)`` of each candidate."""
    if config.scoring_precision == "bfloat16":
        critic = round_weights(critic, jnp.bfloat16)
    return critic(observation[..., None, :], chunks)


def score(
    config: AgentConfig,
    critic: CriticEnsemble,
    observation: Float[Array, "*batch observation"],
    chunks: Float[Array, "*batch candidates chunk"],
) -> Float[Array, "*batch candidates"]:
    """Return ``Q(s, a)`` of each candidate, to choose by."""
    return aggregate(config, score_by_members(config, critic, observation, chunks))


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
    values: Float[Array, "*batch candidates"],
    chunks: Float[Array, "*batch candidates chunk"],
    count: int,
) -> Float[Array, "*batch {count} chunk"]:
    """Return the ``count`` candidates of highest value in each state, best first."""
    _, index = jax.lax.top_k(values, count)
    return jnp.take_along_axis(chunks, index[..., None], axis=-2)


def shrinkage(
    values: Float[Array, "*batch candidates"], noise: Float[Array, "*#batch"]
) -> Float[Array, "*batch"]:
    r"""Return how much of the differences among a state's candidates is signal, in [0, 1].

    .. math::
        w = \max(0, 1 - \nu / S^2), \qquad S^2 = \frac{1}{N-1} \sum_j (Q_j - \bar Q)^2

    Where ``Q_j`` is the true value plus an independent error of variance ``nu``, ``S^2`` estimates
    the variance of the true values plus ``nu``, so ``w`` is the share of the former: the factor by
    which the best linear estimate of a candidate's advantage is smaller than ``Q_j - mean Q``
    (James and Stein 1961, the positive part). Without differences beyond rounding it is 0.

    Args:
        values: ``Q`` of N >= 2 candidates.
        noise: ``nu``, in units of ``Q`` squared.
    """
    spread = jnp.var(values, axis=-1, ddof=1)
    least = (_ROUNDING * jnp.max(jnp.abs(values), axis=-1)) ** 2 + _LEAST_VARIANCE
    return jnp.maximum(1.0 - (noise + least) / (spread + least), 0.0)


def members_noise(values: Float[Array, "members *batch candidates"]) -> Float[Array, "*batch"]:
    r"""Return the variance of the members' mean that they do not share, per state.

    .. math::
        \nu = \frac{1}{M} \frac{1}{(M-1)(N-1)} \sum_{ij}
            (Q_{ij} - \bar Q_{i\cdot} - \bar Q_{\cdot j} + \bar Q_{\cdot\cdot})^2

    The interaction of members and candidates in a two-way analysis of variance: what a member adds
    to all candidates alike does not count. With this noise, :func:`shrinkage` of the members' mean
    is Cronbach's alpha, the reliability of M members as judges of N candidates.

    Args:
        values: of M >= 2 members and N >= 2 candidates.
    """
    members, candidates = values.shape[0], values.shape[-1]
    rest = values - jnp.mean(values, axis=-1, keepdims=True)
    rest = rest - jnp.mean(rest, axis=0, keepdims=True)
    freedom = (members - 1) * (candidates - 1)
    return jnp.sum(rest**2, axis=(0, -1)) / (members * freedom)
