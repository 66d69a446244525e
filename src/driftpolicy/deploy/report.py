"""What a control loop tells of itself: running quantiles, and a report."""

import dataclasses
from typing import NamedTuple

import numpy as np


class Spread(NamedTuple):
    """Of a series of times, in seconds."""

    median: float
    p99: float
    largest: float

    def __str__(self) -> str:
        """In milliseconds."""
        return (
            f"median {1e3 * self.median:.2f} ms, 99% {1e3 * self.p99:.2f} ms, "
            f"largest {1e3 * self.largest:.2f} ms"
        )


class Times:
    """The last of a series of times, and the largest of all."""

    def __init__(self, kept: int):
        """``kept`` are remembered."""
        self._ring = np.zeros(kept)
        self._count = 0
        self._largest = 0.0

    def add(self, value: float) -> None:
        """Append one."""
        self._ring[self._count % len(self._ring)] = value
        self._count += 1
        self._largest = max(self._largest, value)

    def quantile(self, part: float) -> float:
        """Return the least time that ``part`` of those remembered do not exceed; 0 of none."""
        held = self._ring[: self._count]
        return float(np.quantile(held, part, method="higher")) if len(held) else 0.0

    def spread(self) -> Spread:
        """Median and 99th percentile of those remembered, and the largest of all."""
        return Spread(self.quantile(0.5), self.quantile(0.99), self._largest)


@dataclasses.dataclass(frozen=True)
class Report:
    """What a run of the loop was like."""

    steps: int
    """Actions sent."""
    decisions: int
    """Chunks that took over."""
    late_chunks: int
    """Chunks that were not there when they should have taken over."""
    held_steps: int
    """Steps without a planned action, in which the last one was sent again."""
    late_steps: int
    """Actions sent more than half a period after their time."""
    skipped_steps: int
    """Steps that passed by while the loop was kept from running."""
    jitter: Spread
    """How long after its time an action was sent."""
    latency: Spread
    """From just before an observation is read to its chunk."""
    age: Spread
    """How old the observation was when the first action of its chunk was due."""
    ended_by: str
    """``steps``, ``stop``, ``late chunk``, or a signal's name."""

    @property
    def missed(self) -> int:
        """Deadlines missed: of chunks, and of steps."""
        return self.late_chunks + self.late_steps + self.skipped_steps

    def __str__(self) -> str:
        """In four lines."""
        return (
            f"{self.steps:,} steps, {self.decisions:,} chunks, ended by {self.ended_by}; "
            f"missed deadlines: {self.late_chunks} chunks late, {self.late_steps} steps late, "
            f"{self.skipped_steps} skipped; {self.held_steps} held\n"
            f"jitter: {self.jitter}\nlatency: {self.latency}\nage of observations: {self.age}"
        )
