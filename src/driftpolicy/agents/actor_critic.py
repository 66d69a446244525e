"""What all methods share but the actor: one Adam step on actor and critic together.

A method says what its actor is and what it learns from; the critic, the backup of the method's own
decisions, the top-K selection and the moving anchor are here.
"""

import dataclasses
import math
from abc import abstractmethod
from typing import Any, ClassVar, Literal, NamedTuple, TypeVar, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from driftpolicy.agents.base import Agent, Metrics, optimiser, polyak
from driftpolicy.agents.config import AgentConfig, choice, require
from driftpolicy.agents.critic import Critic
from driftpolicy.agents.decision import DecisionRule
from driftpolicy.agents.scoring import (
    aggregate,
    members_noise,
    score_by_members,
    shrinkage,
    top_k,
)
from driftpolicy.batch import Batch
from driftpolicy.networks import Actor, CriticEnsemble

_PUBLISHED_STEPS = 1_000_000
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
        """Return a fresh agent in the offline phase."""
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
        """Return the fresh network or networks of the actor."""

    @abstractmethod
    def actor_loss(
        self, actor: Any, batch: Batch, guidance: Any, key: PRNGKeyArray
    ) -> tuple[Float[Array, ""], Metrics]:
        """Return the loss of ``actor``, from which no other parameter may receive a gradient."""

    @abstractmethod
    def guidance(self, batch: Batch, backup: Float[Array, " batch"], key: PRNGKeyArray) -> Any:
        """Return what the actor's loss takes from critic and anchor as constants, or None.

        ``backup`` is the critic's target of this batch.
        """

    @abstractmethod
    def backup(self, batch: Batch, key: PRNGKeyArray) -> Float[Array, " batch"]:
        """Return the critic's target."""

    @abstractmethod
    def follow(self) -> "ActorCritic":
        """Return the agent with whatever trails behind its actor moved on, after each update."""

    @property
    def decision_rule(self) -> DecisionRule:
        """The best of N' samples under the online critic."""
        return DecisionRule(self.actor, self.critic.online, self.config)

    def value_of_decision(
        self, batch: Batch, key: PRNGKeyArray, actor: Any = None
    ) -> Float[Array, " batch"]:
        """Return ``y = R + gamma^H * mask * Q_target(s', a')``, ``a'`` the decision at ``s'``.

        ``actor`` proposes it, the agent's own unless another is given.
        """
        rule, observation = self.decision_rule, batch.next_observation
        if actor is not None:
            rule = dataclasses.replace(rule, actor=actor)
        decided = rule(observation, rule.draw_noise(key, observation.shape[:-1]))
        return self.critic.backup(batch, decided.reshape(decided.shape[0], -1))

    def update(self, batch: Batch, key: PRNGKeyArray) -> tuple["ActorCritic", Metrics]:
        """Make one Adam step on ``L_Q + L_actor``; return the agent and its metrics."""
        next_key, noise_key, guidance_key = jax.random.split(key, 3)
        backup = self.backup(batch, next_key)
        guidance = jax.lax.stop_gradient(self.guidance(batch, backup, guidance_key))

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
        agent = dataclasses.replace(self, actor=actor, critic=critic, optimiser_state=state)
        return agent.follow(), metrics


class ImitatingActorCritic(ActorCritic[_Config]):
    """An actor that only imitates, or climbs the critic: the same offline and online."""

    def guidance(self, batch: Batch, backup: Float[Array, " batch"], key: PRNGKeyArray) -> None:
        """Return nothing: the actor's loss needs none."""

    def backup(self, batch: Batch, key: PRNGKeyArray) -> Float[Array, " batch"]:
        """Return the value of the decision at the next state."""
        return self.value_of_decision(batch, key)

    def follow(self) -> "ImitatingActorCritic":
        """Return the agent itself: nothing trails behind its actor."""
        return self

    def start_online(self) -> "ImitatingActorCritic":
        """Return the agent itself: nothing changes but the data."""
        return self


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImprovementConfig(AgentConfig):
    """Methods that improve towards their anchor's best candidates (``docs/methods/dfp.md``)."""

    ONLINE_ONLY: ClassVar[frozenset[str]] = frozenset(
        {
            *("candidates", "positives", "improvement_weight", "ramp_steps", "shrinkage"),
            *("anchor_rate", "anchor_steps", "backup_policy"),
        }
    )
    NUMBERS: ClassVar[frozenset[str]] = AgentConfig.NUMBERS | {"improvement_weight", "anchor_rate"}

    candidates: int = 16
    """N, samples of the anchor per state among which the positives are chosen."""
    positives: int = 4
    """K, the best candidates kept as positives, at most N."""
    improvement_weight: float = 0.5
    """lambda, the weight of the improvement loss beside the cloning loss; 0 leaves it out."""
    ramp_steps: int = 0
    """First updates of the online phase, over which lambda rises along a line from zero; 0 begins
    with all of it."""
    shrinkage: Literal["none", "members", "td-error"] = "none"
    """Weigh the improvement in each state by max(0, 1 - noise / spread^2), the spread being that of
    Q over the candidates, and the noise what the critics do not share of it (members) or the
    batch's mean squared TD error (td-error)."""
    anchor_rate: float = 1e-4
    """Rate of the anchor's moving average per online update, in [0, 1]."""
    anchor_steps: int = 0
    """Online updates in which the anchor is to go as far as anchor_rate takes it in a million, such
    as the run's online steps; 0 takes the rate as it is."""
    backup_policy: Literal["own", "anchor"] = "own"
    """Whose samples the critic's backup chooses among online: the policy's own, or its anchor's,
    which do not move at once to where the critic errs."""

    def __post_init__(self) -> None:
        """Refuse values out of range.

        Raises:
            UserError: naming the field, its value and its range.
        """
        super().__post_init__()
        require(self, "candidates", self.candidates >= 1, "at least 1")
        within = 1 <= self.positives <= self.candidates
        require(self, "positives", within, f"between 1 and candidates ({self.candidates})")
        within = 0 <= self.improvement_weight < math.inf
        require(self, "improvement_weight", within, "finite and at least 0")
        require(self, "anchor_rate", 0 <= self.anchor_rate <= 1, "in [0, 1]")
        choice(self, "backup_policy", ("own", "anchor"))
        choice(self, "shrinkage", ("none", "members", "td-error"))
        if self.shrinkage != "none":
            require(self, "candidates", self.candidates >= 2, "at least 2 with shrinkage")
        if self.shrinkage == "members":
            require(self, "critics", self.critics >= 2, "at least 2 with shrinkage members")
        for name in ("ramp_steps", "anchor_steps"):
            require(self, name, getattr(self, name) >= 0, "at least 0")


def rate_over(steps: int, rate: float | Float[Array, ""]) -> Float[Array, ""]:
    """Return the rate per update that goes as far in ``steps`` as ``rate`` does in a million.

    ``1 - (1 - rate)^(1e6 / steps)``: after n updates an average at rate r has left ``(1 - r)^n`` of
    its way to a point that rests. A million are the published online steps (arXiv 2605.07727,
    Table 5).

    Args:
        steps: at least 1.
        rate: in [0, 1].
    """
    return -jnp.expm1(_PUBLISHED_STEPS / steps * jnp.log1p(-jnp.asarray(rate, jnp.float32)))


_Improving = TypeVar("_Improving", bound=ImprovementConfig)
Positives = tuple[Float[Array, "batch positives chunk"], Float[Array, "batch positives"]]


class Guidance(NamedTuple):
    """What the improvement takes from critic and anchor."""

    positives: Float[Array, "batch positives chunk"]
    weights: Float[Array, "batch positives"]
    """Of the positives in a state, of mean 1."""
    shrinkage: Float[Array, " batch"] | None
    """How much the improvement in each state counts, in [0, 1]; None: all of it everywhere."""


class AnchoredActorCritic(ActorCritic[_Improving]):
    """With an ``anchor``: None in the offline phase and ``pi_old`` in the online one.

    ``switched`` counts the updates before the online phase, where lambda rises; else it is None.
    """

    anchor: Any = None
    switched: Any = None

    @abstractmethod
    def choose(
        self,
        values: Float[Array, "batch candidates"],
        chunks: Float[Array, "batch candidates chunk"],
    ) -> Positives:
        """Return the positives among candidates of these values, with weights of mean 1."""

    @property
    def improves(self) -> bool:
        """Whether the improvement loss is on; it is for all agents that differ in its weight."""
        weight = self.config.improvement_weight
        return self.anchor is not None and (isinstance(weight, jax.Array) or weight > 0)

    @property
    def improvement_weight(self) -> float | Float[Array, ""]:
        """Return lambda at the next update, the n-th online: ``lambda min(1, n / ramp_steps)``."""
        weight = self.config.improvement_weight
        if self.switched is None:
            return weight
        number = _updates(self.optimiser_state) - self.switched + 1
        return weight * jnp.minimum(number / self.config.ramp_steps, 1.0)

    def guidance(
        self, batch: Batch, backup: Float[Array, " batch"], key: PRNGKeyArray
    ) -> Guidance | None:
        """Return the positives chosen among N samples of the anchor; None without improvement."""
        if not self.improves:
            return None
        c = self.config
        chunks = self.anchor.sample(batch.observation, c.candidates, key=key)
        members = score_by_members(c, self.critic.online, batch.observation, chunks)
        values = aggregate(c, members)
        weight = None
        if c.shrinkage == "members":
            weight = shrinkage(jnp.mean(members, axis=0), members_noise(members))
        elif c.shrinkage == "td-error":
            weight = shrinkage(values, self.critic.squared_error(batch, backup))
        return Guidance(*self.choose(values, chunks), weight)

    def best_candidates(
        self,
        values: Float[Array, "batch candidates"],
        chunks: Float[Array, "batch candidates chunk"],
    ) -> Positives:
        """Return the K candidates of highest value, with equal weights."""
        best = top_k(values, chunks, self.config.positives)
        return best, jnp.ones(best.shape[:-1])

    def shrinkage_metric(self, guidance: Guidance | None) -> Metrics:
        """Return what to log of the improvement's shrinkage; nothing where there is none."""
        if self.config.shrinkage == "none":
            return {}
        weight = None if guidance is None else guidance.shrinkage
        return {
            "improvement_shrinkage": jnp.mean(jnp.asarray(jnp.nan if weight is None else weight))
        }

    def backup(self, batch: Batch, key: PRNGKeyArray) -> Float[Array, " batch"]:
        """Return the value of the decision at the next state, by the policy or its anchor."""
        anchored = self.config.backup_policy == "anchor"
        return self.value_of_decision(batch, key, self.anchor if anchored else None)

    def follow(self) -> "AnchoredActorCritic":
        """Return the agent with its anchor, if there is one, moved towards the actor."""
        if self.anchor is None:
            return self
        rate, steps = self.config.anchor_rate, self.config.anchor_steps
        anchor = polyak(self.anchor, self.actor, rate_over(steps, rate) if steps else rate)
        return dataclasses.replace(self, anchor=anchor)

    def start_online(self) -> "AnchoredActorCritic":
        """Return the agent with a copy of its policy as the anchor; improvement starts."""
        # Adam's own count, not a new one: of agents that are stacked it is stacked as well.
        switched = _updates(self.optimiser_state) if self.config.ramp_steps else None
        return dataclasses.replace(self, anchor=self.actor, switched=switched)


def _updates(state: Any) -> Int[Array, "..."]:
    """Return how many updates Adam has made."""
    return state[0].count
