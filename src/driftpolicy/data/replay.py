"""Online transitions in a ring, and sampling from the union of prior data and replay."""

from typing import Any

import numpy as np
from jaxtyping import Float, Int64

from driftpolicy.batch import Batch
from driftpolicy.data.transitions import Transitions, WindowSpec


class Replay(Transitions):
    """A ring of rows. The oldest rows are overwritten; windows never cross the write pointer.

    Rows and transitions are counted from the start of the run; a row's place is its number modulo
    the capacity. The newest row is always marked ``last``: nothing follows it yet.
    """

    def __init__(self, capacity: int, observation_dim: int, action_dim: int):
        """``capacity`` counts rows: transitions plus one per episode."""
        super().__init__(
            np.zeros((capacity, observation_dim), np.float32),
            np.zeros((capacity, action_dim), np.float32),
            np.zeros(capacity, np.float32),
            np.zeros(capacity, np.float32),
            np.ones(capacity, bool),
        )
        self._starts = np.zeros(capacity, np.int64)  # row number of each live transition
        self._rows = 0  # rows written so far
        self._first = 0  # oldest live transition
        self._transitions = 0  # transitions written so far

    def __len__(self) -> int:
        """The number of live transitions."""
        return self._transitions - self._first

    def rows(self, transitions: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        """The rows at which these live transitions start, 0 being the oldest."""
        capacity = len(self.last)
        return self._starts[(self._first + transitions) % capacity] % capacity

    def start_episode(self, observation: Float[np.ndarray, " observation"]) -> None:
        """Begin an episode at ``observation``."""
        self._write(observation)

    def add(
        self,
        action: Float[np.ndarray, " action"],
        reward: float,
        terminated: bool,
        next_observation: Float[np.ndarray, " observation"],
    ) -> None:
        """Append a transition to the episode begun last; ``terminated`` sets its mask to 0."""
        capacity = len(self.last)
        start = self._rows - 1
        row = start % capacity
        self.actions[row] = action
        self.rewards[row] = reward
        self.masks[row] = 0.0 if terminated else 1.0
        self.last[row] = False
        self._starts[self._transitions % capacity] = start
        self._transitions += 1
        self._write(next_observation)

    def _write(self, observation: Float[np.ndarray, " observation"]) -> None:
        capacity = len(self.last)
        self.observations[self._rows % capacity] = observation
        self.last[self._rows % capacity] = True
        self._rows += 1
        oldest = self._rows - capacity
        while (
            self._first < self._transitions and self._starts[self._first % capacity] < oldest
        ):  # at most one or two rounds: each call overwrites one row
            self._first += 1

    def state(self) -> dict[str, np.ndarray]:
        """What a checkpoint stores: the counters and the rows written so far."""
        used = min(self._rows, len(self.last))
        counts = np.array([self._rows, self._first, self._transitions], np.int64)
        arrays = {name: getattr(self, name)[:used] for name in self._stored()}
        return {"counts": counts, **arrays}

    def load(self, state: dict[str, np.ndarray]) -> None:
        """Restore :meth:`state` into a ring of the same capacity."""
        self._rows, self._first, self._transitions = (int(n) for n in state["counts"])
        for name in self._stored():
            getattr(self, name)[: len(state[name])] = state[name]

    @staticmethod
    def _stored() -> tuple[str, ...]:
        return ("observations", "actions", "rewards", "masks", "last", "_starts")


class Sampler:
    """Batches drawn uniformly from the union of prior data and replay, without copying either.

    The batch of a training step is a pure function of (seed, step) and of what is stored.
    """

    def __init__(self, sources: list[Transitions], spec: WindowSpec, batch_size: int, seed: int):
        """``sources`` are drawn from in proportion to their sizes at the time of drawing."""
        self._sources = sources
        self._spec = spec
        self._batch_size = batch_size
        self._seed = seed

    def sample(self, first_step: int, steps: int = 1) -> Batch:
        """The batches of ``steps`` training steps, arrays ``[steps, batch, ...]``."""
        sizes = [len(source) for source in self._sources]
        total = sum(sizes)
        generators = (
            np.random.default_rng((self._seed, step))
            for step in range(first_step, first_step + steps)
        )
        draws = np.concatenate([g.integers(total, size=self._batch_size) for g in generators])
        batch: Any = None
        offset = 0
        for source, size in zip(self._sources, sizes, strict=True):
            mine = np.flatnonzero((draws >= offset) & (draws < offset + size))
            if len(mine):
                part = source.windows(source.rows(draws[mine] - offset), self._spec)
                if len(mine) == len(draws):
                    batch = part
                    break
                if batch is None:
                    batch = [np.empty((len(draws), *a.shape[1:]), a.dtype) for a in part]
                for whole, piece in zip(batch, part, strict=True):
                    whole[mine] = piece
            offset += size
        return Batch(*(a.reshape(steps, self._batch_size, *a.shape[1:]) for a in batch))
