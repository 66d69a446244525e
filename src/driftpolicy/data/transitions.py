"""Stored transitions: rows of episodes, and what prior data are.

One row per observation, T+1 rows per episode, and no copy of next observations: row ``i`` holds
``s_i, a_i, r_i, mask_i``, and ``last_i`` marks an episode's final observation, whose action, reward
and mask mean nothing. :mod:`driftpolicy.data.windows` cuts windows from rows.
"""

from functools import cached_property
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float32, Int32, Int64

from driftpolicy.errors import UserError
from driftpolicy.scaling import Scaling


class Rows(NamedTuple):
    """Rows of episodes, all arrays of NumPy or all of JAX.

    Attributes:
        observations: ``[rows, observation]``.
        actions: ``[rows, action]``, of the step that starts at the row.
        rewards: ``[rows]``, of that step.
        masks: ``[rows]``, 0 where that step terminated the task, else 1.
        last: ``[rows]``, whether the row is an episode's final observation.
        starts: the row at which each transition starts.
    """

    observations: Any
    actions: Any
    rewards: Any
    masks: Any
    last: Any
    starts: Any


@runtime_checkable
class Prior(Protocol):
    """Prior data: complete episodes, never changed, never copied into the replay."""

    on_disk: bool
    """Whether they are meant to stay there while a run trains on them."""
    episodes: int
    """How many."""
    observation_dim: int
    """Numbers per observation."""
    action_dim: int
    """Numbers per action."""
    scaling: Scaling | None
    """Between the user's units and these; None: they are the same."""
    remarks: tuple[str, ...]
    """What is suspicious about the data, a line each."""
    control_rate: float | None
    """Steps per second, where that is known."""

    def __len__(self) -> int:
        """Return the number of transitions."""
        ...

    @property
    def lengths(self) -> Int64[np.ndarray, " episodes"]:
        """Transitions of each episode."""
        ...

    def resident(self) -> Rows:
        """Return all rows in the memory of JAX's device, where they are put once."""
        ...

    def gather(self, drawn: Int32[np.ndarray, " windows"], length: int) -> Rows:
        """Return the rows of windows of ``length`` steps, each window a closed ring of its own.

        Args:
            drawn: the number of each window's first transition.
            length: H.

        Returns:
            NumPy arrays of ``windows * (length + 1)`` rows; ``starts`` is zero, in each ring. Rows
            past an episode's final observation mean nothing.
        """
        ...

    def beside_replay(self, count: int) -> "Prior":
        """Return what the online phase draws from: ``count`` transitions of shards, else all."""
        ...


class Dataset:
    """Prior data in memory: a :class:`Prior`."""

    on_disk = False

    def __init__(
        self,
        observations: Float32[np.ndarray, "rows observation"],
        actions: Float32[np.ndarray, "rows action"],
        rewards: Float32[np.ndarray, " rows"],
        masks: Float32[np.ndarray, " rows"],
        last: Bool[np.ndarray, " rows"],
        *,
        scaling: Scaling | None = None,
        remarks: tuple[str, ...] = (),
        control_rate: float | None = None,
    ):
        """Complete episodes.

        Args:
            observations: as the agent sees them.
            actions: in [-1, 1].
            rewards: of each step.
            masks: 0 where the task terminated.
            last: marks the rows that hold an episode's final observation.
            scaling: between the user's units and these; None: they are the same.
            remarks: what is suspicious about the data, a line each.
            control_rate: steps per second, where that is known.

        Raises:
            UserError: if the data ends in mid-episode, holds no transition, or holds a NaN or an
                infinity.
        """
        if len(last) < 2 or not last[-1]:
            raise UserError("the data does not end at an episode's end; it is truncated or foreign")
        starts = np.flatnonzero(~last).astype(np.int32)
        if len(starts) == 0:
            raise UserError("the data holds no transition")
        for name, values in (("observations", observations), ("actions", actions)):
            _refuse_infinities(name, values)
        _refuse_infinities("rewards", rewards)
        self.rows = Rows(observations, actions, rewards, masks, last, starts)
        self.episodes = int(np.count_nonzero(last))
        self.observation_dim, self.action_dim = observations.shape[1], actions.shape[1]
        self.scaling = scaling
        self.remarks = remarks
        self.control_rate = control_rate
        self._like: Dataset | None = None

    def __len__(self) -> int:
        """Return the number of transitions."""
        return len(self.rows.starts)

    @property
    def lengths(self) -> Int64[np.ndarray, " episodes"]:
        """The number of transitions in each episode."""
        return np.diff(np.flatnonzero(self.rows.last), prepend=-1) - 1

    def resident(self) -> Rows:
        """Return all rows in the memory of JAX's device, put there once."""
        return self._resident

    @cached_property
    def _resident(self) -> Rows:
        if self._like is None:
            return Rows(*(jnp.asarray(array) for array in self.rows))
        pairs = zip(self.rows, self._like.rows, self._like.resident(), strict=True)
        return Rows(*(there if a is b else jnp.asarray(a) for a, b, there in pairs))

    def share(self, other: "Dataset") -> None:
        """Use the arrays of another dataset where they hold the same, in both memories.

        So the tasks of a family, whose data differ in rewards and masks alone, hold the rest once.
        """
        pairs = zip(self.rows, other.rows, strict=True)
        self.rows = Rows(*(b if np.array_equal(a, b) else a for a, b in pairs))
        self._like = other

    def gather(self, drawn: Int32[np.ndarray, " windows"], length: int) -> Rows:
        """Return the rows of windows, as :meth:`Prior.gather` says."""
        places = self.rows.starts[drawn][:, None] + np.arange(length + 1)
        index = (places % len(self.rows.last)).reshape(-1)
        rows = (array[index] for array in self.rows[:-1])
        return Rows(*rows, starts=np.zeros(len(drawn), np.int32))

    def beside_replay(self, count: int) -> "Dataset":
        """Return all of it."""
        return self


def _refuse_infinities(name: str, values: np.ndarray) -> None:
    if not np.isfinite(np.sum(values, dtype=np.float64)):
        row = int(np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(1))[0])
        raise UserError(f"the data's {name} hold NaN or infinity, first in row {row}")
