"""The windows that agents train on, cut from rows: drawn, closed into rings, summed over H steps.

A window is H consecutive rows; where an episode ends inside it, ``valid`` says so. The same
functions read NumPy arrays on the host, memory-mapped or not, and JAX arrays in a compiled program.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from driftpolicy.batch import Batch
from driftpolicy.data.transitions import Rows


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


def cut_windows(
    rows: Rows, first: Any, spec: WindowSpec, *, ring: Any, size: int, newest: Any
) -> Batch:
    """Cut the windows that start at given rows of rings.

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


class Fetched(NamedTuple):
    """The prior data's part in a batch, or in one batch after another, where they are on the disk.

    Attributes:
        rows: of :meth:`driftpolicy.data.transitions.Prior.gather`, with the leading axis of the
            batches if there are several.
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
        marks: ``[rings, 3]``, what each ring holds, as its method ``marks`` says it; or None.
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
