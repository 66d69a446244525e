"""The agent contract: what training, evaluation and checkpoints know of a method, and no more."""

from abc import abstractmethod
from typing import ClassVar, Generic, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from driftpolicy.agents.config import AgentConfig
from driftpolicy.agents.decision import DecisionRule
from driftpolicy.batch import Batch

_LAST_RATE = 0.05  # of the first, at the end of a decay
Metrics = dict[str, Float[Array, ""]]
_Tree = TypeVar("_Tree")


def optimiser(config: AgentConfig) -> optax.GradientTransformation:
    """Adam with the config's step size."""
    rate: float | optax.Schedule = config.learning_rate
    if config.decay_steps:
        rate = optax.cosine_decay_schedule(config.learning_rate, config.decay_steps, _LAST_RATE)
    return optax.adam(rate)


_Config = TypeVar("_Config", bound=AgentConfig)


class Agent(eqx.Module, Generic[_Config]):
    """An immutable record of everything training changes, and how one batch changes it.

    ``update``, ``decision_rule`` and ``start_online`` are pure: they can be jitted, scanned over
    steps and vmapped over seeds. The loops, the evaluation and the checkpoints know nothing else.
    """

    config: _Config = eqx.field(static=True)

    Config: ClassVar[type[AgentConfig]] = AgentConfig
    """What the settings of a class are that is named by its file instead of being registered."""

    @classmethod
    @abstractmethod
    def create(
        cls, config: _Config, observation_dim: int, action_dim: int, key: PRNGKeyArray
    ) -> "Agent":
        """Return a fresh agent in the offline phase."""

    @abstractmethod
    def update(self, batch: Batch, key: PRNGKeyArray) -> tuple["Agent", Metrics]:
        """Make one gradient step.

        The metrics have the same names in both phases (NaN: not measured); ``loss`` is the total,
        and the loops stop where it is not finite.
        """

    @property
    @abstractmethod
    def decision_rule(self) -> DecisionRule:
        """The rule by which the agent acts, wherever it acts."""

    @abstractmethod
    def start_online(self) -> "Agent":
        """Return the agent as it is after the switch from the offline to the online phase."""


def polyak(average: _Tree, current: _Tree, rate: float | Float[Array, ""]) -> _Tree:
    """``average + rate * (current - average)`` on every array."""
    return jax.tree.map(lambda a, c: a + rate * (c - a), average, current)


def valid_mean(
    values: Float[Array, "batch flat"], valid: Float[Array, "batch chunk"]
) -> Float[Array, ""]:
    """Return the mean over valid steps: only their actions may be imitated.

    ``values`` holds H groups of numbers, one per step of the chunk. Zero if no step is valid.
    """
    weight = jnp.repeat(valid, values.shape[-1] // valid.shape[-1], axis=-1)
    return jnp.sum(weight * values) / jnp.maximum(jnp.sum(weight), 1.0)


def window_valid(batch: Batch) -> Float[Array, " batch"]:
    """1 where the whole chunk lies in one episode: only such chunks may be imitated."""
    return jnp.prod(batch.valid, axis=-1)
