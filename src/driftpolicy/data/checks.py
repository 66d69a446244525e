"""What is usually wrong with prior data, episode by episode.

The checks see one episode after another and keep no rows: of an episode there remain its checksum
and what it adds to a handful of extremes, so data of any size pass in one walk.
"""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from driftpolicy.data.episodes import Episode, not_finite
from driftpolicy.data.findings import Finding
from driftpolicy.data.motion import Copied, Extremes, Motion, Still
from driftpolicy.errors import listing

_FEW = 0.01  # share of steps whose actions may lie outside the bounds: they are clipped
_ROUNDING = 1e-5  # of a range: not outside
_APART = 1e3  # so many times what any other episode reaches, and one, is no measurement
_NAMED = 5  # so many of a kind are listed


class Demands(NamedTuple):
    """What the environment that is trained in, and the user, ask of data."""

    observation_dim: int | None = None
    """Numbers in an observation; None where that is not known."""
    observation_low: Float[np.ndarray, " observation"] | None = None
    """The least values of its observation space; None where that is not known."""
    observation_high: Float[np.ndarray, " observation"] | None = None
    """The greatest ones."""
    action_low: Float[np.ndarray, " action"] | None = None
    """The least actions that are executed as they are; None where that is not known."""
    action_high: Float[np.ndarray, " action"] | None = None
    """The greatest ones."""
    outside: Literal["refused", "clipped", "kept"] = "clipped"
    """What becomes of actions outside these bounds, if they are more than a few."""
    rewards: Literal["stored", "success", "goal"] = "stored"
    """What is trained on: the rewards in the data, success - 1, or what a task's goal makes."""


def check_episodes(episodes: Iterable[Episode], demands: Demands) -> list[Finding]:
    """Report what is wrong with episodes.

    Args:
        episodes: each is looked at once, and none is kept.
        demands: what they are held against.
    """
    first, bounds = [_Bounds(demands), _Numbers()], demands.action_low
    others = [
        _Worth(demands),
        _Observed(demands),
        Motion(),
        Still(bounds, demands.action_high),
        Copied(),
        _Duplicates(),
    ]
    wide = demands.observation_dim, None if bounds is None else len(bounds)
    for episode in episodes:
        here = episode.observations.shape[1], episode.actions.shape[1]
        for what, found, needed in zip(("observations", "actions"), here, wide, strict=True):
            if needed is not None and found != needed:
                text = f"the data have {what} of {found} numbers, the environment of {needed}"
                return [
                    Finding(f"{text}: are they of another environment, or in another order?", True)
                ]
        for check in (*first, *others):
            check.see(episode)
    found = [finding for check in first for finding in check.findings()]
    if any(finding.refused for finding in found):
        return found
    return found + [finding for check in others for finding in check.findings()]


def _outside(rows: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Tell of each number in rows whether it is beyond its bounds, by more than rounding."""
    span = high - low
    slack = _ROUNDING * np.where(np.isfinite(span), span, 0)
    return (rows < low - slack) | (rows > high + slack)


class _Numbers:
    """Reports NaN and infinity."""

    def __init__(self):
        self._found: str | None = None

    def see(self, episode: Episode) -> None:
        self._found = self._found or not_finite(episode)

    def findings(self) -> Iterator[Finding]:
        if self._found:
            text = f"{self._found} (--skip-broken leaves such episodes out)"
            yield Finding(text, refused=True)


class _Bounds:
    """Reports actions that the environment does not take."""

    def __init__(self, demands: Demands):
        self._demands = demands
        self._steps, self._outside, self._each = 0, 0, np.zeros(0, int)
        self._extremes = Extremes()

    def see(self, episode: Episode) -> None:
        low, high = self._demands.action_low, self._demands.action_high
        if low is None or high is None:
            return
        outside = _outside(episode.actions, low, high)
        self._steps += len(outside)
        self._outside += int(outside.any(axis=1).sum())
        self._each = outside.sum(axis=0) + (self._each if len(self._each) else 0)
        self._extremes.see(episode.actions)

    def findings(self) -> Iterator[Finding]:
        low, high = self._demands.action_low, self._demands.action_high
        if low is None or high is None or not self._outside:
            return
        share, worst = self._outside / self._steps, int(self._each.argmax())
        percent = float(f"{100 * share:.2g}")
        what = (
            f"{percent:g}% of the steps have actions outside the environment's bounds: "
            f"number {worst} goes from {self._extremes.low[worst]:g} to "
            f"{self._extremes.high[worst]:g}, allowed are {low[worst]:g} to {high[worst]:g}"
        )
        if self._demands.outside == "kept":
            yield Finding(f"{what}; the policy will ask for such actions too")
        elif self._demands.outside == "clipped" or share <= _FEW:
            yield Finding(f"{what}; they are clipped")
        else:
            yield Finding(
                f"{what}: convert their units, record what was executed, or train on them as they "
                "are (--action-bounds data)",
                refused=True,
            )


class _Observed:
    """Reports what the environment does not give, nothing measures, or never changes."""

    def __init__(self, demands: Demands):
        self._low, self._high = demands.observation_low, demands.observation_high
        self._extremes = Extremes()
        self._rows = 0
        self._outside: Any = 0
        self._names: list[str] = []
        # Of each number the greatest size in any episode, in which that is, and in any other.
        self._greatest: Any = 0.0
        self._where: Any = 0
        self._next: Any = 0.0

    def see(self, episode: Episode) -> None:
        rows = episode.observations
        low, high = self._extremes.see(rows)
        size = np.maximum(-np.float64(low), high)
        more = size > self._greatest
        self._next = np.where(more, self._greatest, np.maximum(self._next, size))
        self._where = np.where(more, len(self._names), self._where)
        self._greatest = np.maximum(self._greatest, size)
        self._names.append(episode.name)
        if self._low is not None and self._high is not None:
            outside = _outside(rows, self._low, self._high)
            self._rows += len(rows)
            self._outside = self._outside + outside.sum(axis=0)

    def findings(self) -> Iterator[Finding]:
        if self._low is not None and self._high is not None and np.any(self._outside):
            worst = int(np.argmax(self._outside))
            percent = float(f"{100 * self._outside[worst] / self._rows:.2g}")
            yield Finding(
                f"observations are outside the environment's observation space: number {worst}, "
                f"counted from 0, in {percent:g}% of the rows; it goes from "
                f"{self._extremes.low[worst]:g} to {self._extremes.high[worst]:g}, there from "
                f"{self._low[worst]:g} to {self._high[worst]:g}; are they in other units?"
            )
        apart = np.flatnonzero(self._greatest > _APART * np.maximum(self._next, 1))
        if len(self._names) > 1 and len(apart):
            worst = int(apart[np.argmax(self._greatest[apart])])
            yield Finding(
                f"number {worst} of the observations, counted from 0, reaches "
                f"{self._greatest[worst]:g} in {self._names[self._where[worst]]}, and no more than "
                f"{self._next[worst]:g} in the others: if that is a fault, leave the episode out"
            )
        constant = np.flatnonzero(self._extremes.low == self._extremes.high)
        if len(constant):
            yield Finding(
                f"observations never change in these of their {self._extremes.low.size} numbers, "
                f"counted from 0: {listing(constant, _NAMED)}; a sensor that was off misleads the "
                "policy once it is on"
            )


class _Worth:
    """Reports rewards that say nothing, and terminations that may mean something else."""

    def __init__(self, demands: Demands):
        self._rewards = demands.rewards
        self._extremes = Extremes()
        self._lengths: set[int] = set()
        self._longest = self._ended = 0
        self._stated, self._success, self._at_end = False, False, False

    def see(self, episode: Episode) -> None:
        if episode.rewards is not None:
            self._extremes.see(episode.rewards)
        if episode.success is not None:
            self._stated = True
            self._success |= bool(episode.success.any())
        steps = len(episode.actions)
        self._longest = max(self._longest, steps)
        if episode.terminated:
            self._ended += 1
            self._lengths.add(steps)
            self._at_end |= episode.success is not None and bool(episode.success[-1])

    def findings(self) -> Iterator[Finding]:
        low = self._extremes.low + 0  # not -0
        constant = low == self._extremes.high
        nothing = "there is nothing to tell good actions by until the online phase"
        if self._rewards == "success" and not self._stated:
            yield Finding(
                "the data do not say which steps succeed: the end of every episode counts as a "
                "success"
            )
        elif self._rewards == "success" and not self._success:
            yield Finding(f"no step of the data is a success: all rewards are -1; {nothing}")
        elif self._rewards == "goal" and constant and not self._success:
            yield Finding(f"no step of the data is at the goal: all rewards are {low:g}; {nothing}")
        elif self._rewards == "stored" and constant and (low == 0 or not self._ended):
            yield Finding(
                f"all rewards are {low:g}: {nothing} (are they recorded? --reward success makes "
                "its own)"
            )
        limit = self._ended > 1 and self._lengths == {self._longest} and not self._at_end
        if self._rewards == "stored" and limit:
            yield Finding(
                f"all {self._ended:,} terminations come in step {self._longest}, none as a "
                "success: if that is a time limit, store false for them, since no value follows a "
                "termination"
            )


class _Duplicates:
    """Reports episodes that are there twice."""

    def __init__(self):
        self._first: dict[bytes, str] = {}
        self._twins: list[str] = []
        self._seen = 0

    def see(self, episode: Episode) -> None:
        self._seen += 1
        digest = hashlib.blake2b(episode.observations.tobytes(), digest_size=16)
        digest.update(episode.actions.tobytes())
        key = digest.digest()
        if key in self._first:
            self._twins.append(f"{episode.name} of {self._first[key]}")
        else:
            self._first[key] = episode.name

    def findings(self) -> Iterator[Finding]:
        if self._twins:
            yield Finding(
                f"copies among {self._seen:,} episodes: {len(self._twins):,} "
                f"({listing(self._twins, _NAMED)}); they count twice in training"
            )


def short_episodes(lengths: Int[np.ndarray, " episodes"], chunk_length: int) -> list[Finding]:
    """Report the episodes of which no whole chunk can be imitated.

    Args:
        lengths: steps of each episode.
        chunk_length: H.
    """
    short = int(np.sum(lengths < chunk_length))
    if not short:
        return []
    what = f"shorter than a chunk of {chunk_length} steps: {short:,} of {len(lengths):,} episodes"
    if short == len(lengths):
        return [Finding(f"{what}; nothing can be imitated, lower --chunk-length", refused=True)]
    return [Finding(f"{what}, which hold none to imitate; lower --chunk-length, or drop them")]
