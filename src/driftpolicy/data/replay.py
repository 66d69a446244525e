"""Online transitions in rings, kept on the host and mirrored on the device."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int32

from driftpolicy.data.transitions import Rows


class Replay:
    """A ring of rows for each environment; the oldest rows are overwritten.

    Rows and transitions are counted from the start of the run; a row's place in its ring is its
    number modulo the ring's size. The newest row is always marked ``last``: nothing follows it yet.

    What can be drawn at one moment is a function of the rows and of :meth:`marks` at that moment.
    A ring has ``slack`` more rows than it makes use of, so that the marks of up to ``slack`` rows
    ago still mean the same.
    """

    def __init__(
        self, capacity: int, observation_dim: int, action_dim: int, *, rings: int = 1, slack: int
    ):
        """Make empty rings.

        Args:
            capacity: rows of all rings together: transitions plus one per episode.
            observation_dim: numbers per observation.
            action_dim: numbers per action.
            rings: how many, one for each environment.
            slack: rows of each ring beyond its share of the capacity.
        """
        self.slack = slack
        self._capacity = capacity // rings
        self._size = self._capacity + slack
        count = rings * self._size
        self.rows = Rows(
            observations=np.zeros((count, observation_dim), np.float32),
            actions=np.zeros((count, action_dim), np.float32),
            rewards=np.zeros(count, np.float32),
            masks=np.zeros(count, np.float32),
            last=np.ones(count, bool),
            starts=np.zeros(count, np.int32),
        )
        self._numbers = np.zeros(count, np.int64)  # of the row at which each transition starts
        self._rows = np.zeros(rings, np.int64)  # written so far
        self._first = np.zeros(rings, np.int64)  # oldest live transition
        self._transitions = np.zeros(rings, np.int64)  # written so far

    def __len__(self) -> int:
        """Return the number of live transitions."""
        return int(np.sum(self._transitions - self._first))

    def start_episode(self, observation: Float[np.ndarray, " observation"], ring: int = 0) -> None:
        """Begin an episode at ``observation``."""
        self._write(ring, observation)

    def add(
        self,
        action: Float[np.ndarray, " action"],
        reward: float,
        terminated: bool,
        next_observation: Float[np.ndarray, " observation"],
        ring: int = 0,
    ) -> None:
        """Append a transition to the episode begun last; ``terminated`` sets its mask to 0."""
        number = self._rows[ring] - 1
        place = number % self._size
        row = ring * self._size + place
        self.rows.actions[row] = action
        self.rows.rewards[row] = reward
        self.rows.masks[row] = 0.0 if terminated else 1.0
        self.rows.last[row] = False
        slot = ring * self._size + self._transitions[ring] % self._size
        self.rows.starts[slot] = place
        self._numbers[slot] = number
        self._transitions[ring] += 1
        self._write(ring, next_observation)

    def _write(self, ring: int, observation: Float[np.ndarray, " observation"]) -> None:
        row = ring * self._size + self._rows[ring] % self._size
        self.rows.observations[row] = observation
        self.rows.last[row] = True
        self._rows[ring] += 1
        oldest = self._rows[ring] - self._capacity
        while self._first[ring] < self._transitions[ring]:  # one or two rounds a call
            slot = ring * self._size + self._first[ring] % self._size
            if self._numbers[slot] >= oldest:
                break
            self._first[ring] += 1

    def marks(self) -> Int32[np.ndarray, "rings 3"]:
        """Return each ring's oldest live transition, its transitions so far, and its newest row."""
        newest = (self._rows - 1) % self._size
        return np.stack([self._first, self._transitions, newest], axis=1).astype(np.int32)

    def mirror(self) -> Rows:
        """Copy the rings to the device.

        JAX reads a NumPy array some time after the call, behind the work under way: what it gets
        here is a separate copy, which the next step does not write to.
        """
        return Rows(*(jnp.asarray(array.copy()) for array in self.rows))

    def recent(self) -> "Recent":
        """Return the last ``slack`` rows of each ring, for :func:`write_rows`."""
        offsets = self._size * np.arange(len(self._rows))[:, None]
        recent = np.arange(-self.slack, 0)[None]
        index = (offsets + (self._rows[:, None] + recent) % self._size).reshape(-1)
        slots = (offsets + (self._transitions[:, None] + recent) % self._size).reshape(-1)
        places = (index,) * (len(self.rows) - 1) + (slots,)
        pairs = zip(self.rows, places, strict=True)
        part = Rows(*(array[place] for array, place in pairs))
        return Recent(part, index.astype(np.int32), slots.astype(np.int32))

    def state(self) -> dict[str, np.ndarray]:
        """Return what a checkpoint stores: the counters and the rows written so far."""
        used = self._used(self._rows)
        counts = np.stack([self._rows, self._first, self._transitions])
        arrays = {name: array[used] for name, array in self._arrays().items()}
        return {"counts": counts, **arrays}

    def load(self, state: dict[str, np.ndarray]) -> None:
        """Restore :meth:`state` into rings of the same capacity and number.

        Raises:
            ValueError: if the counters and the rows do not belong together.
        """
        self._rows, self._first, self._transitions = state["counts"].copy()
        in_order = (self._first >= 0) & (self._first <= self._transitions)
        used = self._used(self._rows)
        lengths = {len(state[name]) for name in self._arrays()}
        if lengths != {len(used)} or not (in_order & (self._transitions <= self._rows)).all():
            raise ValueError("its counters are not those of its rows")
        for name, array in self._arrays().items():
            array[used] = state[name]

    def _used(self, written: np.ndarray) -> np.ndarray:
        places = [np.arange(min(n, self._size)) + i * self._size for i, n in enumerate(written)]
        return np.concatenate(places)

    def _arrays(self) -> dict[str, np.ndarray]:
        return {**self.rows._asdict(), "numbers": self._numbers}


class Recent(NamedTuple):
    """Rows to be copied to a mirror."""

    rows: Rows
    index: Int32[Any, " rows"]
    """Where each row belongs."""
    slots: Int32[Any, " rows"]
    """Where the start of each transition belongs."""


def _write_rows(mirror: Rows, recent: Recent) -> Rows:
    places = (recent.index,) * (len(mirror) - 1) + (recent.slots,)
    pairs = zip(mirror, recent.rows, places, strict=True)
    return Rows(*(array.at[place].set(values) for array, values, place in pairs))


write_rows = jax.jit(_write_rows, donate_argnums=0)
"""Return a mirror with recent rows; consumes it."""
write_rows_of_each = jax.jit(jax.vmap(_write_rows), donate_argnums=0)
"""The same for several mirrors of one shape, stacked."""
