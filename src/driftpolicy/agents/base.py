"""The agent contract: what training, evaluation and checkpoints know of a method, and no more."""

import dataclasses
import math
from abc import abstractmethod
from typing import Generic, Literal, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from driftpolicy.batch import Batch
from driftpolicy.errors import UserError

_LAST_RATE = 0.05  # of the first, at the end of a decay
Metrics = dict[str, Float[Array, ""]]
_Tree = TypeVar("_Tree")


@dataclasses.dataclass(frozen=True, kw_only=True)
class AgentConfig:
    """What every method shares (arXiv 2605.07727, Table 5)."""

    chunk_length: int = 5
    """H, control steps per decision (Q-chunking, Li et al. 2025)."""
    discount: float = 0.99
    """gamma, per control step, in (0, 1]."""
    learning_rate: float = 3e-4
    """Adam's step size for actor and critic."""
    decay_steps: int = 0
    """Updates over which the step size falls to a twentieth, along a cosine; 0 keeps it."""
    actor_hidden: tuple[int, ...] = (512, 512, 512, 512)
    """Widths of the actor's hidden layers (GELU)."""
    critic_hidden: tuple[int, ...] = (512, 512, 512, 512)
    """Widths of each critic's hidden layers (GELU, then layer norm)."""
    critics: int = 2
    """Members of the critic ensemble."""
    critic_aggregation: Literal["mean", "min"] = "mean"
    """How the ensemble's members become one value."""
    target_rate: float = 5e-3
    """Polyak rate of the target critic per update, in (0, 1]."""
    best_of: int = 1
    """N', samples per decision of which the critic's best is executed and backed up."""
    scoring_precision: Literal["float32", "bfloat16"] = "float32"
    """Type of the factors in the critic's products where candidates are compared; their sums, and
    all that is learned from, stay float32."""
    terminal_windows: Literal["drop", "keep"] = "drop"
    """Windows whose episode terminated before their last step: "drop" them as published, or "keep"
    them with the steps after termination absorbing (reward 0, mask 0)."""

    def __post_init__(self) -> None:
        """Refuse values out of range.

        Raises:
            UserError: naming the field, its value and its range.
        """
        for name in ("chunk_length", "critics", "best_of"):
            require(self, name, getattr(self, name) >= 1, "at least 1")
        require(self, "discount", 0 < self.discount <= 1, "in (0, 1]")
        require(self, "learning_rate", 0 < self.learning_rate < math.inf, "finite and above 0")
        require(self, "decay_steps", self.decay_steps >= 0, "at least 0")
        require(self, "target_rate", 0 < self.target_rate <= 1, "in (0, 1]")
        for name in ("actor_hidden", "critic_hidden"):
            widths = getattr(self, name)
            require(self, name, len(widths) > 0 and min(widths) > 0, "one or more positive widths")
        choice(self, "critic_aggregation", ("mean", "min"))
        choice(self, "scoring_precision", ("float32", "bfloat16"))
        choice(self, "terminal_windows", ("drop", "keep"))


def optimiser(config: AgentConfig) -> optax.GradientTransformation:
    """Adam with the config's step size."""
    rate: float | optax.Schedule = config.learning_rate
    if config.decay_steps:
        rate = optax.cosine_decay_schedule(config.learning_rate, config.decay_steps, _LAST_RATE)
    return optax.adam(rate)


def flag(name: str) -> str:
    """The command line's spelling of a config field."""
    return "--" + name.replace("_", "-")


def require(config: object, name: str, holds: bool, meaning: str) -> None:
    """Raise a :class:`UserError` that names the field unless ``holds``."""
    if not holds:  # also true for NaN, which fails every comparison
        raise UserError(f"{flag(name)} must be {meaning}, not {getattr(config, name)}")


def choice(config: object, name: str, allowed: tuple[str, ...]) -> None:
    """Raise a :class:`UserError` that names the field unless its value is among ``allowed``."""
    require(config, name, getattr(config, name) in allowed, "one of " + ", ".join(allowed))


_Config = TypeVar("_Config", bound=AgentConfig)


class Agent(eqx.Module, Generic[_Config]):
    """An immutable record of everything training changes, and how one batch changes it.

    ``update``, ``act`` and ``start_online`` are pure: they can be jitted, scanned over steps and
    vmapped over seeds. The loops, the evaluation and the checkpoints know only this class.
    """

    config: _Config = eqx.field(static=True)

    @classmethod
    @abstractmethod
    def create(
        cls, config: _Config, observation_dim: int, action_dim: int, key: PRNGKeyArray
    ) -> "Agent":
        """A fresh agent in the offline phase."""

    @abstractmethod
    def update(self, batch: Batch, key: PRNGKeyArray) -> tuple["Agent", Metrics]:
        """One gradient step.

        The metrics have the same names in both phases (NaN: not measured); ``loss`` is the total,
        and the loops stop where it is not finite.
        """

    @abstractmethod
    def act(
        self, observation: Float[Array, "*batch observation"], key: PRNGKeyArray
    ) -> Float[Array, "*batch chunk action"]:
        """The method's decision rule, in [-1, 1]."""

    @property
    @abstractmethod
    def noise_shape(self) -> tuple[int, int]:
        """Of the standard normal numbers that one decision draws from its key."""

    @abstractmethod
    def act_from(
        self,
        observation: Float[Array, "*batch observation"],
        noise: Float[Array, "*batch candidates flat"],
    ) -> Float[Array, "*batch chunk action"]:
        """The same decision from numbers that were drawn before."""

    @abstractmethod
    def value(
        self,
        observation: Float[Array, "*batch observation"],
        actions: Float[Array, "*batch chunk action"],
    ) -> Float[Array, "*batch"]:
        """``Q(s, a)`` of a chunk under the critic, for people who watch."""

    @abstractmethod
    def start_online(self) -> "Agent":
        """The agent at the switch from the offline to the online phase."""

    def _as_actions(self, chunk: Float[Array, "... flat"]) -> Float[Array, "... chunk action"]:
        return chunk.reshape(*chunk.shape[:-1], self.config.chunk_length, -1)


def polyak(average: _Tree, current: _Tree, rate: float) -> _Tree:
    """``average + rate * (current - average)`` on every array."""
    return jax.tree.map(lambda a, c: a + rate * (c - a), average, current)


def valid_mean(
    values: Float[Array, "batch flat"], valid: Float[Array, "batch chunk"]
) -> Float[Array, ""]:
    """The mean of what belongs to valid steps: only such actions may be imitated.

    ``values`` holds H groups of numbers, one per step of the chunk. Zero if no step is valid.
    """
    weight = jnp.repeat(valid, values.shape[-1] // valid.shape[-1], axis=-1)
    return jnp.sum(weight * values) / jnp.maximum(jnp.sum(weight), 1.0)


def window_valid(batch: Batch) -> Float[Array, " batch"]:
    """1 where the whole chunk lies in one episode: only such chunks may be imitated."""
    return jnp.prod(batch.valid, axis=-1)
