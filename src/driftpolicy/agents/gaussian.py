"""The two ancestors people expect beside the rest, with a Gaussian actor: cloning and IQL.

``pi(.|s) = N(m(s), diag(sigma^2))`` over action chunks, its mean squashed by tanh, ``sigma`` the
same in all states. Its first sample is its mean, so that one sample per decision is the mode.
"""

import dataclasses
import math
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from driftpolicy.agents.actor_critic import ActorCritic, ImitatingActorCritic
from driftpolicy.agents.base import Metrics, window_valid
from driftpolicy.agents.config import AgentConfig, require
from driftpolicy.agents.scoring import aggregate
from driftpolicy.batch import Batch
from driftpolicy.networks import MLP, Actor, lift

_LOG_DEVIATION_RANGE = (-5.0, 2.0)
_ADVANTAGE_WEIGHT_LIMIT = 100.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class BCConfig(AgentConfig):
    """Behaviour cloning: the critic watches, and has a say only with ``best_of`` above 1."""

    chunk_length: int = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class IQLConfig(AgentConfig):
    """Implicit Q-learning (Kostrikov, Nair, Levine 2022)."""

    chunk_length: int = 1
    critic_aggregation: Literal["mean", "min", "pessimistic"] = "min"
    expectile: float = 0.9
    """tau of the value's expectile regression, in (0, 1): 0.5 is the mean, 1 the maximum."""
    advantage_temperature: float = 10.0
    """beta of the weights exp(beta (Q - V)), at least 0."""

    def __post_init__(self) -> None:
        """Refuse values out of range.

        Raises:
            UserError: naming the field, its value and its range.
        """
        super().__post_init__()
        require(self, "expectile", 0 < self.expectile < 1, "in (0, 1), without its ends")
        within = 0 <= self.advantage_temperature < math.inf
        require(self, "advantage_temperature", within, "finite and at least 0")


class GaussianPolicy(Actor):
    """``N(tanh(m(s)), diag(exp(log_deviation))^2)``."""

    mlp: MLP
    log_deviation: Float[Array, " chunk"]

    def __call__(self, observation: Float[Array, "... observation"]) -> Float[Array, "... chunk"]:
        """The mean."""
        return jnp.tanh(self.mlp(observation))

    def deviation(self) -> Float[Array, " chunk"]:
        """``sigma``, within [exp(-5), exp(2)]."""
        return jnp.exp(jnp.clip(self.log_deviation, *_LOG_DEVIATION_RANGE))

    def log_density(
        self,
        observation: Float[Array, "*batch observation"],
        action: Float[Array, "*batch chunk"],
    ) -> Float[Array, " *batch"]:
        """``log pi(a | s)``."""
        mean, deviation = self(observation), lift(self.deviation(), action.ndim)
        return jnp.sum(jax.scipy.stats.norm.logpdf(action, mean, deviation), axis=-1)

    @property
    def noise_dim(self) -> int:
        """``S``."""
        return self.log_deviation.shape[-1]

    def push(
        self,
        observation: Float[Array, "*batch observation"],
        noise: Float[Array, "*batch count chunk"],
    ) -> Float[Array, "*batch count chunk"]:
        """Return the mean, then a sample for each draw but the first, clipped to [-1, 1]."""
        drawn = (jnp.arange(noise.shape[-2]) > 0).astype(noise.dtype)
        noise = lift(drawn[:, None], noise.ndim) * noise
        spread = lift(self.deviation(), noise.ndim) * noise
        return jnp.clip(self(observation)[..., None, :] + spread, -1.0, 1.0)


def new_policy(
    config: AgentConfig, observation_dim: int, chunk_dim: int, key: PRNGKeyArray
) -> GaussianPolicy:
    """Return a fresh policy of deviation one."""
    mlp = MLP(observation_dim, config.actor_hidden, chunk_dim, key=key)
    return GaussianPolicy(mlp, jnp.zeros(chunk_dim))


def cloning_loss(
    policy: GaussianPolicy, batch: Batch, weight: Float[Array, " batch"]
) -> Float[Array, ""]:
    """``-E[w log pi(a | s)]`` per number of the chunk, over the windows inside one episode."""
    action = batch.actions.reshape(batch.actions.shape[0], -1)
    inside = window_valid(batch)
    density = policy.log_density(batch.observation, action) / action.shape[-1]
    return -jnp.sum(inside * weight * density) / jnp.maximum(jnp.sum(inside), 1.0)


class BC(ImitatingActorCritic[BCConfig]):
    """``bc``."""

    @classmethod
    def new_actor(
        cls, config: BCConfig, observation_dim: int, chunk_dim: int, key: PRNGKeyArray
    ) -> GaussianPolicy:
        """Return the policy."""
        return new_policy(config, observation_dim, chunk_dim, key)

    def actor_loss(
        self, actor: Any, batch: Batch, guidance: None, key: PRNGKeyArray
    ) -> tuple[Float[Array, ""], Metrics]:
        """Return the negative log-likelihood of the data."""
        loss = cloning_loss(actor, batch, jnp.ones_like(batch.reward))
        return loss, {"bc_loss": loss}


class PolicyAndValue(Actor):
    """The policy, which acts, and ``V(s)``, the expectile of its critic over the data's actions."""

    policy: GaussianPolicy
    value: MLP

    @property
    def noise_dim(self) -> int:
        """``S``."""
        return self.policy.noise_dim

    def push(
        self,
        observation: Float[Array, "*batch observation"],
        noise: Float[Array, "*batch count chunk"],
    ) -> Float[Array, "*batch count chunk"]:
        """Return the policy's chunks."""
        return self.policy.push(observation, noise)


class IQL(ActorCritic[IQLConfig]):
    """``iql``: never asks the critic about an action that is not in the data."""

    @classmethod
    def new_actor(
        cls, config: IQLConfig, observation_dim: int, chunk_dim: int, key: PRNGKeyArray
    ) -> PolicyAndValue:
        """Return the policy and the value, the latter built like the critic's members."""
        policy_key, value_key = jax.random.split(key)
        value = MLP(observation_dim, config.critic_hidden, 1, layer_norm=True, key=value_key)
        return PolicyAndValue(new_policy(config, observation_dim, chunk_dim, policy_key), value)

    def backup(self, batch: Batch, key: PRNGKeyArray) -> Float[Array, " batch"]:
        """``y = R + gamma^H * mask * V(s')``."""
        return self.critic.discounted(batch, self.actor.value(batch.next_observation)[:, 0])

    def follow(self) -> "IQL":
        """Return the agent itself: nothing trails behind its actor."""
        return self

    def start_online(self) -> "IQL":
        """Return the agent itself: nothing changes but the data."""
        return self

    def guidance(
        self, batch: Batch, backup: Float[Array, " batch"], key: PRNGKeyArray
    ) -> Float[Array, " batch"]:
        """``Q_target(s, a)`` of the data's chunks."""
        chunk = batch.actions.reshape(batch.actions.shape[0], -1)
        return aggregate(self.config, self.critic.target(batch.observation, chunk))

    def actor_loss(
        self, actor: Any, batch: Batch, guidance: Float[Array, " batch"], key: PRNGKeyArray
    ) -> tuple[Float[Array, ""], Metrics]:
        """``E[|tau - 1(Q < V)| (Q - V)^2]`` and ``-E[min(exp(beta (Q - V)), 100) log pi(a|s)]``."""
        value = actor.value(batch.observation)[:, 0]
        advantage = guidance - value
        side = jnp.where(advantage < 0, 1.0 - self.config.expectile, self.config.expectile)
        inside = self.critic.weight(batch)
        count = jnp.maximum(jnp.sum(inside), 1.0)
        value_loss = jnp.sum(inside * side * advantage**2) / count
        exponent = self.config.advantage_temperature * jax.lax.stop_gradient(advantage)
        weight = jnp.minimum(jnp.exp(exponent), _ADVANTAGE_WEIGHT_LIMIT)
        cloning = cloning_loss(actor.policy, batch, weight)
        return value_loss + cloning, {
            "value_loss": value_loss,
            "bc_loss": cloning,
            "advantage": jnp.sum(inside * advantage) / count,
        }
