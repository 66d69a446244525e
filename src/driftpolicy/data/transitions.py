"""Stored transitions and the windows that agents train on.

One row per observation, T+1 rows per episode, and no copy of next observations: row ``i`` holds
``s_i, a_i, r_i, mask_i``, and ``last_i`` marks an episode's final observation, whose action, reward
and mask mean nothing. A window is H consecutive rows; where an episode ends inside it, ``valid``
says so. The same functions read NumPy arrays on the host, memory-mapped or not, and JAX arrays in a
compiled program.
"""

import dataclasses
from functools import cached_property
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float32, Int32, Int64

from driftpolicy.batch import Batch
from driftpolicy.errors import UserError
from driftpolicy.scaling import Scaling


@dataclasses.dataclass(frozen=True)
class WindowSpec:
    """How rows become a training window (``docs/methods/dfp.md``)."""

    length: int
    """H, transitions per window."""
    discount: float
    """gamma of the H-step reward."""
    keep_terminal: bool = False
    """Treat the steps after a mask of 0 as absorbing: rewards after it count as 0."""
    online_share: float | None = None
    """Expected share of the windows that comes from the replay; None: uniform over the union."""


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


def cut_windows(
    rows: Rows, first: Any, spec: WindowSpec, *, ring: Any, size: int, newest: Any
) -> Batch:
    """The windows that start at given rows of rings.

    ``valid[k]`` is 1 iff no episode ended before step ``k``; steps that are not valid have zero
    action, reward 0 and mask 1. ``next_observation`` follows the last valid step.

    Args:
        rows: one ring after another, each of ``size`` rows and closed: after its end comes its
            beginning.
        first: ``[batch]``, within its ring the row of each window's first transition.
        spec: of the windows.
        ring: ``[batch]``, the number of the ring.
        size: rows per ring.
        newest: ``[batch]``, within its ring the row after which nothing is known yet; -1: none.
    """
    xp: Any = np if isinstance(rows.last, np.ndarray) else jnp
    places = (first[:, None] + xp.arange(spec.length + 1)[None]) % size
    index = (ring * size)[:, None] + places
    steps = index[:, :-1]
    ends = rows.last[steps] | (places[:, :-1] == newest[:, None])
    valid = xp.cumsum(ends, axis=1) == 0
    rewards = xp.where(valid, rows.rewards[steps], 0.0)
    masks = xp.where(valid, rows.masks[steps], 1.0)
    if spec.keep_terminal:
        before = xp.cumprod(masks, axis=1)[:, :-1]
        rewards = xp.concatenate([rewards[:, :1], rewards[:, 1:] * before], axis=1)
    # Step by step: a matrix product rounds by the number of windows asked for.
    reward = rewards[:, 0]
    for step in range(1, spec.length):
        reward = reward + np.float32(spec.discount**step) * rewards[:, step]
    following = xp.take_along_axis(index, valid.sum(axis=1)[:, None], axis=1)[:, 0]
    return Batch(
        observation=rows.observations[index[:, 0]],
        actions=xp.where(valid[..., None], rows.actions[steps], 0.0),
        reward=reward,
        mask=xp.prod(masks, axis=1),
        next_observation=rows.observations[following],
        valid=valid.astype(np.float32),
    )


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
        """The number of transitions."""
        ...

    @property
    def lengths(self) -> Int64[np.ndarray, " episodes"]:
        """Transitions of each episode."""
        ...

    def resident(self) -> Rows:
        """All rows in the memory of JAX's device, put there once."""
        ...

    def gather(self, drawn: Int32[np.ndarray, " windows"], length: int) -> Rows:
        """The rows of windows of ``length`` steps, each window a closed ring of its own.

        Args:
            drawn: the number of each window's first transition.
            length: H.

        Returns:
            NumPy arrays of ``windows * (length + 1)`` rows; ``starts`` is zero, in each ring. Rows
            past an episode's final observation mean nothing.
        """
        ...

    def beside_replay(self, count: int) -> "Prior":
        """What the online phase draws from: of shards ``count`` transitions, of others all."""
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

    def __len__(self) -> int:
        """The number of transitions."""
        return len(self.rows.starts)

    @property
    def lengths(self) -> Int64[np.ndarray, " episodes"]:
        """As :class:`Prior` says."""
        return np.diff(np.flatnonzero(self.rows.last), prepend=-1) - 1

    def resident(self) -> Rows:
        """As :class:`Prior` says."""
        return self._resident

    @cached_property
    def _resident(self) -> Rows:
        return Rows(*(jnp.asarray(array) for array in self.rows))

    def gather(self, drawn: Int32[np.ndarray, " windows"], length: int) -> Rows:
        """As :class:`Prior` says."""
        places = self.rows.starts[drawn][:, None] + np.arange(length + 1)
        index = (places % len(self.rows.last)).reshape(-1)
        rows = (array[index] for array in self.rows[:-1])
        return Rows(*rows, starts=np.zeros(len(drawn), np.int32))

    def beside_replay(self, count: int) -> "Dataset":
        """All of it."""
        return self


def _refuse_infinities(name: str, values: np.ndarray) -> None:
    if not np.isfinite(np.sum(values, dtype=np.float64)):
        row = int(np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(1))[0])
        raise UserError(f"the data's {name} hold NaN or infinity, first in row {row}")


class Fetched(NamedTuple):
    """The prior data's part in a batch, or in one batch after another, where they are on the disk.

    Attributes:
        rows: of :meth:`Prior.gather`, with the leading axis of the batches if there are several.
        held: transitions of the prior data.
    """

    rows: Rows
    held: Any


def draw(
    key: Any, held: Any, marks: Any, batch_size: int, online_share: float | None = None
) -> Any:
    """Draw the numbers of transitions: those below ``held`` are prior data's.

    Args:
        key: of this batch.
        held: transitions of the prior data.
        marks: as :func:`draw_windows`, or None.
        batch_size: how many.
        online_share: as :class:`WindowSpec`; without effect while the replay holds nothing.
    """
    online = 0 if marks is None else jnp.sum(marks[:, 1] - marks[:, 0])
    if marks is None or online_share is None:
        return jax.random.randint(key, (batch_size,), 0, held + online)
    side_key, prior_key, online_key = jax.random.split(key, 3)
    share = jnp.where(online > 0, online_share, 0.0)
    from_replay = jax.random.bernoulli(side_key, share, (batch_size,))
    collected = held + jax.random.randint(online_key, (batch_size,), 0, jnp.maximum(online, 1))
    return jnp.where(from_replay, collected, jax.random.randint(prior_key, (batch_size,), 0, held))


def draw_windows(
    prior: Rows | Fetched,
    replay: Rows | None,
    marks: Any,
    key: Any,
    spec: WindowSpec,
    batch_size: int,
) -> Batch:
    """Draw a batch from prior data and replay, in a compiled program.

    Args:
        prior: prior data, or what of them was fetched for this batch.
        replay: the rings of :class:`driftpolicy.data.replay.Replay`, or None.
        marks: ``[rings, 3]``, what each ring holds, as :meth:`Replay.marks` says it; or None.
        key: of this batch.
        spec: of the windows.
        batch_size: windows in the batch.
    """
    held = prior.held if isinstance(prior, Fetched) else prior.starts.shape[0]
    drawn = draw(key, held, marks, batch_size, spec.online_share)
    own = _prior_windows(prior, drawn, spec)
    if replay is None:
        return own
    begins, transitions, newest = marks.T
    ends = jnp.cumsum(transitions - begins)
    online = drawn - held
    ring = jnp.searchsorted(ends, online, side="right").clip(0, len(ends) - 1)
    number = online - (ends - transitions)[ring]  # transitions are counted from the run's start
    slots = replay.last.shape[0] // marks.shape[0]
    first = replay.starts[ring * slots + number % slots]
    collected = cut_windows(replay, first, spec, ring=ring, size=slots, newest=newest[ring])
    return jax.tree.map(
        lambda a, b: jnp.where(jax.lax.expand_dims(drawn < held, range(1, a.ndim)), a, b),
        own,
        collected,
    )


def _prior_windows(prior: Rows | Fetched, drawn: Any, spec: WindowSpec) -> Batch:
    """The windows of prior data; where ``drawn`` is none of theirs, any."""
    nowhere = jnp.full(len(drawn), -1, jnp.int32)
    if isinstance(prior, Fetched):
        rings, size = jnp.arange(len(drawn)), spec.length + 1
        return cut_windows(
            prior.rows, prior.rows.starts, spec, ring=rings, size=size, newest=nowhere
        )
    first = prior.starts[drawn.clip(0, prior.starts.shape[0] - 1)]
    size = prior.last.shape[0]
    return cut_windows(prior, first, spec, ring=jnp.zeros_like(drawn), size=size, newest=nowhere)
