"""What all methods share but the actor: one Adam step on actor and critic together.

A method says what its actor is and what it learns from; the critic, the backup of the method's own
decisions, the top-K selection and the moving anchor are here.
"""

import dataclasses
import math
from abc import abstractmethod
from typing import Any, TypeVar, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from driftpolicy.agents.base import Agent, AgentConfig, Metrics, optimiser, polyak, require
from driftpolicy.agents.critic import Critic
from driftpolicy.batch import Batch
from driftpolicy.networks import Actor, CriticEnsemble

_Config = TypeVar("_Config", bound=AgentConfig)


class ActorCritic(Agent[_Config]):
    """An actor and a critic, trained by ``L_Q + L_actor`` in one step (``docs/methods/dfp.md``)."""

    actor: Any
    critic: Critic
    optimiser_state: optax.OptState

    @classmethod
    def create(
        cls, config: _Config, observation_dim: int, action_dim: int, key: PRNGKeyArray
    ) -> "ActorCritic":
        """A fresh agent in the offline phase."""
        actor_key, critic_key = jax.random.split(key)
        chunk_dim = config.chunk_length * action_dim
        actor = cls.new_actor(config, observation_dim, chunk_dim, actor_key)
        critic = Critic.create(config, observation_dim, chunk_dim, critic_key)
        state = optimiser(config).init(cast(optax.Params, (actor, critic.online)))
        return cls(config, actor, critic, state)

    @classmethod
    @abstractmethod
    def new_actor(
        cls, config: _Config, observation_dim: int, chunk_dim: int, key: PRNGKeyArray
    ) -> Actor:
        """The actor's network or networks, fresh."""

    @abstractmethod
    def actor_loss(
        self, actor: Any, batch: Batch, guidance: Any, key: PRNGKeyArray
    ) -> tuple[Float[Array, ""], Metrics]:
        """What ``actor`` minimises; no other parameter may receive a gradient from it."""

    def guidance(self, batch: Batch, key: PRNGKeyArray) -> Any:
        """What the actor's loss takes from critic and anchor as constants; by default nothing."""
        return None

    def decide(
        self, observation: Float[Array, "*batch observation"], key: PRNGKeyArray
    ) -> Float[Array, "*batch chunk"]:
        """The decision rule: the best of N' fresh samples under the online critic."""
        chunks = self.actor.sample(observation, self.config.best_of, key=key)
        return self.critic.best(observation, chunks)

    def backup(self, batch: Batch, key: PRNGKeyArray) -> Float[Array, " batch"]:
        """The critic's target: the value of the decision at the next state."""
        return self.critic.backup(batch, self.decide(batch.next_observation, key))

    def act(
        self, observation: Float[Array, "*batch observation"], key: PRNGKeyArray
    ) -> Float[Array, "*batch chunk action"]:
        """The method's decision, as H actions."""
        return self._as_actions(self.decide(observation, key))

    @property
    def noise_shape(self) -> tuple[int, int]:
        """N' and ``S``."""
        return self.config.best_of, self.actor.noise_dim

    def act_from(
        self,
        observation: Float[Array, "*batch observation"],
        noise: Float[Array, "*batch candidates flat"],
    ) -> Float[Array, "*batch chunk action"]:
        """The same decision, its candidates pushed forward from ``noise``."""
        chunks = self.actor.push(observation, noise)
        return self._as_actions(self.critic.best(observation, chunks))

    def value(
        self,
        observation: Float[Array, "*batch observation"],
        actions: Float[Array, "*batch chunk action"],
    ) -> Float[Array, "*batch"]:
        """``Q(s, a)`` under the online critic, which chooses the method's decisions."""
        chunk = actions.reshape(*actions.shape[:-2], 1, -1)
        return self.critic.score(observation, chunk)[..., 0]

    def start_online(self) -> "ActorCritic":
        """Nothing changes but the data, unless the method says so."""
        return self

    def update(self, batch: Batch, key: PRNGKeyArray) -> tuple["ActorCritic", Metrics]:
        """One Adam step on ``L_Q + L_actor``."""
        next_key, noise_key, guidance_key = jax.random.split(key, 3)
        backup = self.backup(batch, next_key)
        guidance = jax.lax.stop_gradient(self.guidance(batch, guidance_key))

        def loss(trained: tuple[Any, CriticEnsemble]) -> tuple[Float[Array, ""], Metrics]:
            actor, online = trained
            critic_loss, critic_metrics = self.critic.loss(online, batch, backup)
            actor_loss, actor_metrics = self.actor_loss(actor, batch, guidance, noise_key)
            total = critic_loss + actor_loss
            return total, {"loss": total} | critic_metrics | actor_metrics

        trained = (self.actor, self.critic.online)
        gradient, metrics = jax.grad(loss, has_aux=True)(trained)
        step, state = optimiser(self.config).update(gradient, self.optimiser_state)
        actor, online = eqx.apply_updates(trained, step)
        critic = self.critic.step(online)
        return dataclasses.replace(self, actor=actor, critic=critic, optimiser_state=state), metrics


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImprovementConfig(AgentConfig):
    """Methods that improve towards their anchor's best candidates (``docs/methods/dfp.md``)."""

    candidates: int = 16
    """N, samples of the anchor per state among which the positives are chosen."""
    positives: int = 4
    """K, the best candidates kept as positives, at most N."""
    improvement_weight: float = 0.5
    """lambda, the weight of the improvement loss beside the cloning loss; 0 leaves it out."""
    anchor_rate: float = 1e-4
    """Rate of the anchor's moving average per online update, in [0, 1]."""

    def __post_init__(self) -> None:
        """Refuse values out of range.

        Raises:
            UserError: naming the field, its value and its range.
        """
        super().__post_init__()
        require(self, "candidates", self.candidates >= 1, "at least 1")
        within = 1 <= self.positives <= self.candidates
        require(self, "positives", within, f"between 1 and --candidates ({self.candidates})")
        within = 0 <= self.improvement_weight < math.inf
        require(self, "improvement_weight", within, "finite and at least 0")
        require(self, "anchor_rate", 0 <= self.anchor_rate <= 1, "in [0, 1]")


_Improving = TypeVar("_Improving", bound=ImprovementConfig)
Positives = tuple[Float[Array, "batch positives chunk"], Float[Array, "batch positives"]]


class AnchoredActorCritic(ActorCritic[_Improving]):
    """With an ``anchor``: None in the offline phase and ``pi_old`` in the online one."""

    anchor: Any = None

    def start_online(self) -> "AnchoredActorCritic":
        """The anchor becomes a copy of the policy; the improvement loss starts."""
        return dataclasses.replace(self, anchor=self.actor)

    def update(self, batch: Batch, key: PRNGKeyArray) -> tuple["AnchoredActorCritic", Metrics]:
        """As every method's; then the anchor follows the actor."""
        agent, metrics = super().update(batch, key)
        assert isinstance(agent, AnchoredActorCritic)
        if agent.anchor is None:
            return agent, metrics
        anchor = polyak(agent.anchor, agent.actor, self.config.anchor_rate)
        return dataclasses.replace(agent, anchor=anchor), metrics

    @property
    def improves(self) -> bool:
        """Whether the improvement loss is on."""
        return self.anchor is not None and self.config.improvement_weight > 0

    def guidance(self, batch: Batch, key: PRNGKeyArray) -> Positives | None:
        """The K best of N candidates with equal weights, or None where nothing is improved."""
        if not self.improves:
            return None
        chunks = self.anchor.sample(batch.observation, self.config.candidates, key=key)
        return self.choose(batch.observation, chunks)

    def choose(
        self,
        observation: Float[Array, "batch observation"],
        chunks: Float[Array, "batch candidates chunk"],
    ) -> Positives:
        """The positives among the candidates, with weights of mean 1."""
        best = self.critic.top_k(observation, chunks, self.config.positives)
        return best, jnp.ones(best.shape[:-1])
