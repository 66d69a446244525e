"""Whether a robot moves in recorded episodes, and whether its actions are what was commanded."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from driftpolicy.data.episodes import Episode
from driftpolicy.data.findings import Finding
from driftpolicy.errors import listing

_STILL = 0.01  # of a range: a robot that moves less within an episode stands still
_IDLE = 1e-3  # of the room for actions: actions that differ by less are all the same
_NAMED = 5  # so many of a kind are listed


class Extremes:
    """The least and the greatest value of each number in rows."""

    def __init__(self):
        """Begin without any."""
        self.low: Any = np.inf
        self.high: Any = -np.inf

    def see(self, rows: np.ndarray) -> None:
        """Take rows into account, at least one."""
        self.low = np.minimum(self.low, rows.min(axis=0))
        self.high = np.maximum(self.high, rows.max(axis=0))


class Still:
    """Reports a robot that does not move, and actions that are always the same."""

    def __init__(
        self,
        low: Float[np.ndarray, " action"] | None,
        high: Float[np.ndarray, " action"] | None,
    ):
        """Hold actions against the room that they have; None where that is not known."""
        free = np.inf if low is None or high is None else high - low
        self._least = _IDLE * np.where(np.isfinite(free), free, 0.0)
        self._seen, self._moved = Extremes(), Extremes()
        self._spans: list[np.ndarray] = []
        self._idle: list[str] = []

    def see(self, episode: Episode) -> None:
        """Look at an episode."""
        self._seen.see(episode.observations)
        self._moved.see(episode.actions)
        self._spans.append(np.ptp(episode.observations, axis=0))
        steps, spread = len(episode.actions), np.ptp(episode.actions, axis=0)
        if steps > 1 and (spread <= self._least).all():
            self._idle.append(episode.name)

    def findings(self) -> Iterator[Finding]:
        """Report what was found."""
        room = self._seen.high - self._seen.low
        moving = np.median(self._spans, axis=0)[room > 0] / room[room > 0]
        if len(moving) and moving.max() < _STILL:
            yield Finding(
                f"within an episode the observations move by {100 * moving.max():.2g}% of their "
                "range over all episodes, or less: does the robot stand still in these recordings?"
            )
        low, high = self._moved.low, self._moved.high
        if (high - low <= self._least).all():
            yield Finding(
                f"the actions are always the same (number 0 goes from {low[0]:g} to {high[0]:g}): "
                "are they what was commanded? There is nothing to imitate"
            )
        elif self._idle:
            yield Finding(
                f"the action never changes in {len(self._idle):,} of {len(self._spans):,} episodes "
                f"({listing(self._idle, _NAMED)}): does the robot stand still there?"
            )


class Copied:
    """Reports actions that are numbers of the observation at the same step."""

    def __init__(self):
        """Begin with every number of the observation as a candidate for each of the action."""
        self._same: Bool[np.ndarray, "action observation"] | None = None
        self._steps = 0
        self._spread = Extremes()

    def see(self, episode: Episode) -> None:
        """Look at an episode."""
        self._steps += len(episode.actions)
        self._spread.see(episode.actions)
        if self._same is None:
            wide = episode.actions.shape[1], episode.observations.shape[1]
            self._same = np.ones(wide, bool)
        seen = episode.observations[: len(episode.actions)]
        # Two rows leave hardly a candidate, and the others are compared for these alone.
        for rows in (slice(0, 2), slice(2, None)):
            for action, place in np.argwhere(self._same):
                equal = np.array_equal(episode.actions[rows, action], seen[rows, place])
                self._same[action, place] = equal

    def findings(self) -> Iterator[Finding]:
        """Report what was found."""
        changing = self._steps > 1 and np.any(self._spread.low < self._spread.high)
        if changing and self._same is not None and self._same.any(axis=1).all():
            yield Finding(
                "the actions equal the observations of the same step (numbers "
                f"{listing(self._same.argmax(axis=1), _NAMED)} of them): such actions keep the "
                "robot where it is; record what was commanded, or the observation that follows"
            )
