"""Stored transitions and the windows that agents train on.

One row per observation, T+1 rows per episode, and no copy of next observations: row ``i`` holds
``s_i, a_i, r_i, mask_i``, and ``last_i`` marks an episode's final observation, whose action, reward
and mask mean nothing. A window is H consecutive rows; where an episode ends inside it, ``valid``
says so. Everything here is NumPy on the host and may be memory-mapped.
"""

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int64

from driftpolicy.batch import Batch
from driftpolicy.errors import UserError


@dataclasses.dataclass(frozen=True)
class WindowSpec:
    """How rows become a training window (``method.md`` 3)."""

    length: int
    """H, transitions per window."""
    discount: float
    """gamma of the H-step reward."""
    keep_terminal: bool = False
    """Treat the steps after a mask of 0 as absorbing: rewards after it count as 0."""


class Transitions:
    """Rows of episodes, read as windows. Subclasses say which rows start a transition."""

    def __init__(
        self,
        observations: Float32[np.ndarray, "rows observation"],
        actions: Float32[np.ndarray, "rows action"],
        rewards: Float32[np.ndarray, " rows"],
        masks: Float32[np.ndarray, " rows"],
        last: Bool[np.ndarray, " rows"],
    ):
        """``last`` marks the rows that hold an episode's final observation."""
        self.observations = observations
        self.actions = actions
        self.rewards = rewards
        self.masks = masks
        self.last = last

    def __len__(self) -> int:
        """The number of transitions."""
        raise TypeError("a subclass says how many transitions there are")

    def rows(self, transitions: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        """The rows at which these transitions (0 to ``len(self) - 1``) start."""
        raise TypeError("a subclass says where transitions start")

    def windows(self, rows: Int64[np.ndarray, " n"], spec: WindowSpec) -> Batch:
        """The windows that start at ``rows``, each the first row of a transition.

        ``valid[k]`` is 1 iff no episode ended before step ``k``; steps that are not valid have zero
        action, reward 0 and mask 1. ``next_observation`` follows the last valid step.
        """
        steps = np.arange(spec.length)
        index = (rows[:, None] + steps) % len(self.last)
        valid = ~np.logical_or.accumulate(self.last[index], axis=1)
        rewards = np.where(valid, self.rewards[index], 0.0)
        masks = np.where(valid, self.masks[index], 1.0)
        if spec.keep_terminal:
            before = np.cumprod(masks, axis=1)[:, :-1]
            rewards[:, 1:] *= before
        following = (rows + valid.sum(axis=1)) % len(self.last)
        # Step by step: a matrix product rounds by the number of windows asked for.
        reward = np.zeros(len(rows), np.float32)
        for step in range(spec.length):
            reward += np.float32(spec.discount**step) * rewards[:, step]
        fields: dict[str, Any] = {
            "observation": self.observations[rows],
            "actions": np.where(valid[..., None], self.actions[index], 0.0).astype(np.float32),
            "reward": reward,
            "mask": np.prod(masks, axis=1).astype(np.float32),
            "next_observation": self.observations[following],
            "valid": valid.astype(np.float32),
        }
        return Batch(**fields)


class Dataset(Transitions):
    """Prior data: complete episodes, never changed, never copied."""

    def __init__(self, observations, actions, rewards, masks, last):
        """See :class:`Transitions`.

        Raises:
            UserError: if the data ends in mid-episode, holds no transition, or holds a NaN or an
                infinity.
        """
        super().__init__(observations, actions, rewards, masks, last)
        if len(last) < 2 or not last[-1]:
            raise UserError("the data does not end at an episode's end; it is truncated or foreign")
        ends = np.flatnonzero(last)
        # Row = transition + number of episodes that ended before it.
        self._ends = ends - np.arange(len(ends))
        if len(self) == 0:
            raise UserError("the data holds no transition")
        for name in ("observations", "actions", "rewards"):
            values = getattr(self, name)
            if not np.isfinite(np.sum(values, dtype=np.float64)):
                row = int(np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(1))[0])
                raise UserError(f"the data's {name} hold NaN or infinity, first in row {row}")

    def __len__(self) -> int:
        """The number of transitions."""
        return int(self._ends[-1])

    @property
    def episodes(self) -> int:
        """The number of episodes."""
        return len(self._ends)

    def rows(self, transitions: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        """The rows at which these transitions start."""
        return transitions + np.searchsorted(self._ends, transitions, side="right")
