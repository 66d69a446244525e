"""Positives that similar states of a batch share: more samples of the data's policy in a state."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

_LEAST_VARIANCE = 1e-12


def similarity(
    observation: Float[Array, "batch observation"], used: Bool[Array, " batch"]
) -> Float[Array, "batch batch"]:
    r"""Return how similar the states of a batch are, from 0 to 1.

    .. math::
        k_{ij} = \max(0, 1 - d_{ij}^2 / h^2), \qquad h^2 = \mathrm{median}_i \min_{j \ne i} d_{ij}^2

    ``d`` is the Euclidean distance of observations that are divided by their standard deviations
    over the batch. So in half of the states no other state counts, and none beyond the typical
    distance to the nearest one (Epanechnikov's kernel). Equal states have 1, even where most of the
    batch is equal and ``h`` is 0.

    Args:
        observation: of each state, in any units.
        used: a state without is similar to itself alone, and has no part in deviations and ``h``.
    """
    count = jnp.maximum(jnp.sum(used), 1)
    x = jnp.where(used[:, None], observation, 0.0)
    mean = jnp.sum(x, axis=0, keepdims=True) / count
    centred = jnp.where(used[:, None], x - mean, 0.0)
    variance = jnp.sum(centred**2, axis=0, keepdims=True) / count
    x = x / jnp.sqrt(jnp.maximum(variance, _LEAST_VARIANCE))
    # By differences, not by products: those of equal states are zero to the last bit.
    squared = jnp.sum((x[:, None] - x[None]) ** 2, axis=-1)
    same = jnp.eye(len(x), dtype=bool)
    both = used[:, None] & used[None]
    nearest = jnp.min(jnp.where(both & ~same, squared, jnp.inf), axis=1)
    width = jnp.nanmedian(jnp.where(used, nearest, jnp.nan))
    kernel = jnp.maximum(0.0, 1.0 - squared / jnp.maximum(width, jnp.finfo(x.dtype).tiny))
    return jnp.where(same, 1.0, jnp.where(both, kernel, 0.0))


def share_positives(
    observation: Float[Array, "batch observation"],
    chunks: Float[Array, "batch chunk"],
    used: Float[Array, " batch"],
    count: int,
    *,
    key: PRNGKeyArray,
) -> Float[Array, "batch {count} chunk"]:
    """Return the positives of each state: its chunk, and others drawn by their :func:`similarity`.

    Drawn with replacement and with probability ``k_ij / sum_l k_il``, they are samples of the
    kernel estimate of the data's policy in that state (Nadaraya and Watson's). A state that has no
    neighbour gets its own chunk ``count`` times.

    Args:
        observation: of each state.
        chunks: the data's.
        used: 1 where a chunk may be imitated, else 0. What is not finite is not shared either.
        count: M >= 1, positives per state.
        key: for the draws.
    """
    finite = jnp.all(jnp.isfinite(observation), axis=1) & jnp.all(jnp.isfinite(chunks), axis=1)
    weights = similarity(observation, (used > 0) & finite)
    cumulated = jnp.cumsum(weights, axis=1)
    level = jax.random.uniform(key, (len(chunks), count - 1)) * cumulated[:, -1:]
    drawn = jnp.sum(cumulated[:, None] <= level[..., None], axis=-1)
    # Sums that are rounded may lead to a neighbour of weight 0.
    itself = jnp.arange(len(chunks))[:, None]
    drawn = jnp.where(jnp.take_along_axis(weights, drawn, axis=1) > 0, drawn, itself)
    return chunks[jnp.concatenate([itself, drawn], axis=1)]
