"""The settings that every method shares, and how settings out of range are refused."""

import dataclasses
import math
from typing import ClassVar, Literal

from driftpolicy.errors import FieldError


@dataclasses.dataclass(frozen=True, kw_only=True)
class AgentConfig:
    """What every method shares (arXiv 2605.07727, Table 5)."""

    ONLINE_ONLY: ClassVar[frozenset[str]] = frozenset()
    """Fields that change nothing in the offline phase."""
    NUMBERS: ClassVar[frozenset[str]] = frozenset({"learning_rate"})
    """Fields that enter the arithmetic of an update and nothing else: agents that differ in them
    alone can be one program (:mod:`driftpolicy.agents.numbers`)."""

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
    critic_aggregation: Literal["mean", "min", "pessimistic"] = "mean"
    """How the ensemble's members become one value; pessimistic: their mean minus pessimism times
    their standard deviation (arXiv 2601.14234 takes ten members and 0.5)."""
    pessimism: float = 0.5
    """rho, standard deviations below the mean (read by "pessimistic" only)."""
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
        choice(self, "critic_aggregation", ("mean", "min", "pessimistic"))
        require(self, "pessimism", 0 <= self.pessimism < math.inf, "finite and at least 0")
        choice(self, "scoring_precision", ("float32", "bfloat16"))
        choice(self, "terminal_windows", ("drop", "keep"))


def require(config: object, name: str, holds: bool, meaning: str) -> None:
    """Raise a :class:`FieldError` unless ``holds``."""
    if not holds:  # also true for NaN, which fails every comparison
        raise FieldError(name, meaning, getattr(config, name))


def choice(config: object, name: str, allowed: tuple[str, ...]) -> None:
    """Raise a :class:`FieldError` unless the field's value is among ``allowed``."""
    require(config, name, getattr(config, name) in allowed, "one of " + ", ".join(allowed))
