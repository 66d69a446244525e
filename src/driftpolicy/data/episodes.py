"""Recorded episodes as the checks see them, whatever they were stored as."""

from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float


@runtime_checkable
class Episode(Protocol):
    """One episode of T steps, whatever it was stored as."""

    @property
    def name(self) -> str:
        """As messages name it."""
        ...

    @property
    def observations(self) -> Float[np.ndarray, "rows observation"]:
        """T+1 of them: before each step, and after the last."""
        ...

    @property
    def actions(self) -> Float[np.ndarray, "steps action"]:
        """As they are stored, before any clipping."""
        ...

    @property
    def rewards(self) -> Float[np.ndarray, " steps"] | None:
        """None where there are none."""
        ...

    @property
    def terminated(self) -> bool:
        """Whether the task ended with the last step; else the recording did."""
        ...

    @property
    def success(self) -> Bool[np.ndarray, " steps"] | None:
        """Whether each step was a success; None where nobody says."""
        ...


class EpisodeArrays(NamedTuple):
    """An :class:`Episode` made of arrays."""

    name: str
    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray | None = None
    terminated: bool = False
    success: np.ndarray | None = None


def not_finite(episode: Episode) -> str | None:
    """Return where an episode holds NaN or infinity, in words; None where it does not."""
    for what in ("observations", "actions", "rewards"):
        values: Any = getattr(episode, what)
        if values is not None and not np.isfinite(values).all():
            bad = ~np.isfinite(values.reshape(len(values), -1)).all(axis=1)
            return f"{episode.name}: {what} hold NaN or infinity, first in row {int(bad.argmax())}"
    return None
