"""How much of the improvement force comes from the critic, how much from any choice."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from driftpolicy.agents.dfp import DFP
from driftpolicy.agents.scoring import score
from driftpolicy.drifting import DriftInfo, drift_loss
from driftpolicy.networks import Actor


class Forces(NamedTuple):
    """The improvement force in each state, for positives chosen by the critic and at random.

    "Halves" are two disjoint halves of the candidates: where the choice has a signal, both pull
    the same samples in the same direction.
    """

    chosen_norm: Float[Array, " temperatures"]
    """Root mean square of the raw force towards the K best."""
    random_norm: Float[Array, " temperatures"]
    """The same towards K at random."""
    chosen_cosine: Float[Array, " states"]
    """Cosine between the forces towards the best of either half."""
    random_cosine: Float[Array, " states"]
    """The same towards random candidates of either half."""
    across_cosine: Float[Array, " states"]
    """Cosine between the force towards the best of one half and random ones of the other."""
    anchor_distance: Float[Array, " states"]
    """Distance between what policy and anchor make of the same noise, root mean square."""
    spread: Float[Array, " states"]
    """Standard deviation of the policy's samples, root mean square over dimensions."""


def _force(
    agent: DFP, generated: Array, positives: Array
) -> tuple[Float[Array, "states flat"], DriftInfo]:
    """Return the direction in which each state's samples are pulled, and the diagnostics."""

    def loss(samples: Array) -> tuple[Array, DriftInfo]:
        c = agent.config
        losses, info = drift_loss(
            samples, positives, temperatures=c.temperatures, kernel=c.kernel, form=c.form
        )
        return jnp.sum(losses), info

    gradient, info = jax.grad(loss, has_aux=True)(generated)
    return -gradient.reshape(gradient.shape[0], -1), info


def _cosine(a: Float[Array, "states flat"], b: Float[Array, "states flat"]) -> Array:
    norms = jnp.linalg.norm(a, axis=-1) * jnp.linalg.norm(b, axis=-1)
    return jnp.sum(a * b, axis=-1) / jnp.maximum(norms, jnp.finfo(a.dtype).tiny)


@eqx.filter_jit
def forces(
    agent: DFP, observation: Float[Array, "states observation"], key: PRNGKeyArray
) -> Forces:
    """Measure the improvement force of ``agent`` in these states.

    Before the online phase the policy itself stands for the anchor.
    """
    config = agent.config
    actor: Actor = agent.actor
    anchor: Actor = actor if agent.anchor is None else agent.anchor
    sample_key, candidate_key, noise_key = jax.random.split(key, 3)
    generated = actor.sample(observation, config.generated, key=sample_key)
    chunks = anchor.sample(observation, config.candidates, key=candidate_key)
    values = score(config, agent.critic.online, observation, chunks)

    def best(chunks: Array, values: Array, count: int) -> Array:
        _, index = jax.lax.top_k(values, count)
        return jnp.take_along_axis(chunks, index[..., None], axis=-2)

    k, half = config.positives, config.candidates // 2
    few = max(1, k // 2)
    _, chosen = _force(agent, generated, best(chunks, values, k))
    _, random = _force(agent, generated, chunks[:, :k])
    first, second = chunks[:, :half], chunks[:, half : 2 * half]
    first_best, _ = _force(agent, generated, best(first, values[:, :half], few))
    second_best, _ = _force(agent, generated, best(second, values[:, half : 2 * half], few))
    first_random, _ = _force(agent, generated, first[:, :few])
    second_random, _ = _force(agent, generated, second[:, :few])

    noise = jax.random.normal(noise_key, (observation.shape[0], config.generated, actor.noise_dim))
    apart = actor.push(observation, noise) - anchor.push(observation, noise)
    return Forces(
        chosen_norm=chosen.raw_norms,
        random_norm=random.raw_norms,
        chosen_cosine=_cosine(first_best, second_best),
        random_cosine=_cosine(first_random, second_random),
        across_cosine=_cosine(first_best, second_random),
        anchor_distance=jnp.sqrt(jnp.mean(apart**2, axis=(1, 2))),
        spread=jnp.sqrt(jnp.mean(jnp.var(generated, axis=1), axis=-1)),
    )
