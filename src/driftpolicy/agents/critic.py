"""The critic all methods share: H-step backups in chunk space (``docs/methods/dfp.md``)."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from driftpolicy.agents.base import Metrics, polyak, window_valid
from driftpolicy.agents.config import AgentConfig
from driftpolicy.agents.scoring import aggregate
from driftpolicy.batch import Batch
from driftpolicy.networks import CriticEnsemble


class Critic(eqx.Module):
    """An ensemble of Q functions over action chunks, and its Polyak average, the target."""

    online: CriticEnsemble
    target: CriticEnsemble
    config: AgentConfig = eqx.field(static=True)

    @classmethod
    def create(
        cls, config: AgentConfig, observation_dim: int, chunk_dim: int, key: PRNGKeyArray
    ) -> "Critic":
        """Return a fresh ensemble with a target equal to it."""
        online = CriticEnsemble(
            observation_dim, chunk_dim, config.critic_hidden, members=config.critics, key=key
        )
        return cls(online, online, config)

    def backup(
        self, batch: Batch, next_chunk: Float[Array, "batch chunk"]
    ) -> Float[Array, " batch"]:
        """``y = R + gamma^H * mask * Q_target(s', a')``, aggregated over the target ensemble."""
        value = aggregate(self.config, self.target(batch.next_observation, next_chunk))
        return self.discounted(batch, value)

    def discounted(
        self, batch: Batch, next_value: Float[Array, " batch"]
    ) -> Float[Array, " batch"]:
        """``y = R + gamma^H * mask * next_value``, a constant."""
        factor = self.config.discount**self.config.chunk_length
        return jax.lax.stop_gradient(batch.reward + factor * batch.mask * next_value)

    def weight(self, batch: Batch) -> Float[Array, " batch"]:
        """Weigh the windows: 1 inside one episode and, if kept, where one terminated; else 0."""
        inside = window_valid(batch)
        if self.config.terminal_windows == "drop":
            return inside
        return jnp.maximum(inside, 1.0 - batch.mask)

    def loss(
        self, online: CriticEnsemble, batch: Batch, backup: Float[Array, " batch"]
    ) -> tuple[Float[Array, ""], Metrics]:
        """``L_Q``: mean over members and batch of ``weight * (Q_i(s, a) - y)^2``."""
        chunk = batch.actions.reshape(batch.actions.shape[0], -1)
        values = online(batch.observation, chunk)
        weight = self.weight(batch)
        loss = jnp.mean(weight[None] * (values - backup[None]) ** 2)
        count = jnp.maximum(jnp.sum(weight), 1.0)
        return loss, {
            "critic_loss": loss,
            "q": jnp.sum(weight * jnp.mean(values, axis=0)) / count,
            "q_target": jnp.sum(weight * backup) / count,
            "valid": jnp.mean(weight),
        }

    def squared_error(self, batch: Batch, backup: Float[Array, " batch"]) -> Float[Array, ""]:
        """Return the mean of ``(Q(s, a) - y)^2`` over the windows that count, ``Q`` aggregated."""
        chunk = batch.actions.reshape(batch.actions.shape[0], -1)
        value = aggregate(self.config, self.online(batch.observation, chunk))
        weight = self.weight(batch)
        return jnp.sum(weight * (value - backup) ** 2) / jnp.maximum(jnp.sum(weight), 1.0)

    def step(self, online: CriticEnsemble) -> "Critic":
        """Return the critic with new online parameters and the target moved towards them."""
        target = polyak(self.target, online, self.config.target_rate)
        return type(self)(online, target, self.config)
