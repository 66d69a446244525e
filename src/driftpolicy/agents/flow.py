"""Best-of-n on a behaviour flow (BFN; Ghasemipour et al. 2021, EMaQ), plain and with chunks.

The flow is trained to imitate by flow matching (Lipman et al. 2023) and never by ``Q``; the best of
n of its samples under the critic acts and is backed up. With chunks of H it is QC-BFN, best-of-n in
Q-chunking (Li, Zhou, Levine 2025).
"""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from driftpolicy.agents.actor_critic import ImitatingActorCritic
from driftpolicy.agents.base import Metrics, valid_mean
from driftpolicy.agents.config import AgentConfig, require
from driftpolicy.batch import Batch
from driftpolicy.networks import Actor, VelocityField


@dataclasses.dataclass(frozen=True, kw_only=True)
class FlowConfig(AgentConfig):
    """Methods with a behaviour flow."""

    flow_steps: int = 10
    """Euler steps from noise to action."""

    def __post_init__(self) -> None:
        """Refuse values out of range.

        Raises:
            UserError: naming the field, its value and its range.
        """
        super().__post_init__()
        require(self, "flow_steps", self.flow_steps >= 1, "at least 1")


@dataclasses.dataclass(frozen=True, kw_only=True)
class BFNConfig(FlowConfig):
    """BFN: one step at a time, the best of 4 (arXiv 2605.07727)."""

    chunk_length: int = 1
    best_of: int = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class QCBFNConfig(FlowConfig):
    """QC-BFN: chunks, the best of 32 (Li, Zhou, Levine 2025)."""

    best_of: int = 32


class BehaviourFlow(Actor):
    """The flow ``dx/dt = v(s, x, t)`` that carries noise at ``t = 0`` to actions at ``t = 1``."""

    velocity: VelocityField
    steps: int = eqx.field(static=True)

    def integrate(
        self, observation: Float[Array, "... observation"], noise: Float[Array, "... chunk"]
    ) -> Float[Array, "... chunk"]:
        """``x <- x + v(s, x, i / n) / n`` for ``i = 0 .. n - 1``; not clipped."""

        def step(i: Array, x: Float[Array, "... chunk"]) -> Float[Array, "... chunk"]:
            time = jnp.full((*x.shape[:-1], 1), i / self.steps, x.dtype)
            return x + self.velocity(observation, x, time) / self.steps

        return jax.lax.fori_loop(0, self.steps, step, noise)

    @property
    def noise_dim(self) -> int:
        """``S``."""
        return self.velocity.chunk_dim

    def push(
        self,
        observation: Float[Array, "*batch observation"],
        noise: Float[Array, "*batch count chunk"],
    ) -> Float[Array, "*batch count chunk"]:
        """Carry the noise along the flow, and clip the result to [-1, 1]."""
        return jnp.clip(self.integrate(observation[..., None, :], noise), -1.0, 1.0)


def flow_matching_loss(
    velocity: VelocityField, batch: Batch, key: PRNGKeyArray
) -> Float[Array, ""]:
    """``E |v(s, x_t, t) - (a - eps)|^2``, ``x_t = (1 - t) eps + t a``, ``t ~ U[0, 1]``.

    The mean is over the numbers of the valid steps, ``eps`` and ``t`` drawn anew for each window.
    """
    action = batch.actions.reshape(batch.actions.shape[0], -1)
    noise_key, time_key = jax.random.split(key)
    noise = jax.random.normal(noise_key, action.shape, action.dtype)
    time = jax.random.uniform(time_key, (action.shape[0], 1), action.dtype)
    x = (1.0 - time) * noise + time * action
    error = velocity(batch.observation, x, time) - (action - noise)
    return valid_mean(error**2, batch.valid)


class FlowPolicy(ImitatingActorCritic[FlowConfig]):
    """``bfn`` and ``qc-bfn``."""

    @classmethod
    def new_actor(
        cls, config: FlowConfig, observation_dim: int, chunk_dim: int, key: PRNGKeyArray
    ) -> BehaviourFlow:
        """Return the behaviour flow."""
        field = VelocityField(observation_dim, chunk_dim, config.actor_hidden, key=key)
        return BehaviourFlow(field, config.flow_steps)

    def actor_loss(
        self, actor: Any, batch: Batch, guidance: None, key: PRNGKeyArray
    ) -> tuple[Float[Array, ""], Metrics]:
        """Flow matching alone."""
        loss = flow_matching_loss(actor.velocity, batch, key)
        return loss, {"flow_loss": loss}
