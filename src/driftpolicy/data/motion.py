"""Whether a robot moves in recorded episodes, and whether its actions are what was commanded."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float

from driftpolicy.data.episodes import Episode
from driftpolicy.data.findings import Finding
from driftpolicy.errors import listing

_STILL = 1e-3  # of the room for actions: no motion
_MOTION = 0.01  # of a range over all episodes: the least motion within one
_NAMED = 5  # so many of a kind are listed


class Extremes:
    """The least and the greatest value of each number in rows."""

    def __init__(self):
        """Begin without having seen anything."""
        self.low: Any = np.inf
        self.high: Any = -np.inf

    def see(self, rows: np.ndarray) -> tuple[Any, Any]:
        """Look at rows, at least one; return the extremes of these."""
        low, high = rows.min(axis=0), rows.max(axis=0)
        self.low, self.high = np.minimum(self.low, low), np.maximum(self.high, high)
        return low, high


class Motion:
    """Reports a robot that hardly moves within any episode."""

    def __init__(self):
        """Begin without having seen anything."""
        self._extremes = Extremes()
        self._spans: list[np.ndarray] = []

    def see(self, episode: Episode) -> None:
        """Look at an episode."""
        self._extremes.see(episode.observations)
        self._spans.append(_span(episode.observations))

    def findings(self) -> Iterator[Finding]:
        """Report what was seen."""
        room = np.float64(self._extremes.high) - self._extremes.low
        moving = np.median(self._spans, axis=0)[room > 0] / room[room > 0]
        if len(moving) and moving.max() < _MOTION:
            yield Finding(
                f"within an episode the observations move by {100 * moving.max():.2g}% of their "
                "range over all episodes, or less: does the robot stand still in these recordings?"
            )


class Copied:
    """Reports actions that are numbers of the observation at the same step."""

    def __init__(self):
        """Begin without having seen anything."""
        self._same: Any = True
        self._actions = Extremes()

    def see(self, episode: Episode) -> None:
        """Look at an episode."""
        self._actions.see(episode.actions)
        if np.any(self._same):
            now = episode.observations[:-1]
            self._same = self._same & np.array(
                [(now == column[:, None]).all(axis=0) for column in episode.actions.T]
            )

    def findings(self) -> Iterator[Finding]:
        """Report what was seen."""
        moves = np.any(self._actions.low < self._actions.high)
        if moves and np.any(self._same, axis=-1).all():
            places = listing(np.argmax(self._same, axis=-1), _NAMED)
            yield Finding(
                f"the actions equal the observations of the same step (numbers {places} of them): "
                "such actions keep the robot where it is; record what was commanded, or the "
                "observation that follows"
            )


class Still:
    """Reports episodes whose action never changes."""

    def __init__(self, low: Any, high: Any):
        """Hold actions against the room between the least and the greatest; None: not known."""
        self._least: Any = 0.0
        if low is not None and high is not None:
            spread = _STILL * (high - low)
            self._least = np.where(np.isfinite(spread), spread, 0.0)
        self._still: list[str] = []
        self._seen = 0

    def see(self, episode: Episode) -> None:
        """Look at an episode."""
        self._seen += 1
        if len(episode.actions) > 1 and (_span(episode.actions) <= self._least).all():
            self._still.append(episode.name)

    def findings(self) -> Iterator[Finding]:
        """Report what was seen."""
        if self._still:
            yield Finding(
                f"the action never changes in {len(self._still):,} of {self._seen:,} episodes "
                f"({listing(self._still, _NAMED)}): does the robot stand still there, or was "
                "something else recorded?"
            )


def _span(rows: np.ndarray) -> Float[np.ndarray, " numbers"]:
    """Return by how much each number varies; in double precision, where nothing overflows."""
    return np.float64(rows.max(axis=0)) - rows.min(axis=0)
