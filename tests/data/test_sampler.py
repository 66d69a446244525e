"""Batches are drawn uniformly from the union of prior data and replay, in compiled programs."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from driftpolicy.data.replay import Replay
from driftpolicy.data.transitions import Dataset
from driftpolicy.data.windows import WindowSpec, draw_windows
from tests import statistical

from .reference import (
    ACTION_DIM,
    Episode,
    build,
    dataset_of,
    live_starts,
    rows_of,
    starts_of,
    window,
    write,
)

_draw = partial(jax.jit, static_argnames=("spec", "batch_size"))(draw_windows)


def draw(dataset: Dataset, replay: Replay | None, spec, batch_size, key=0):
    mirror, marks = (replay.mirror(), replay.marks()) if replay else (None, None)
    return _draw(dataset.resident(), mirror, marks, statistical.key(key), spec, batch_size)


def episodes(*lengths: int, number: int) -> list[Episode]:
    random = np.random.default_rng(number)
    steps = [
        [(tuple(random.uniform(-1, 1, 2)), random.normal(), float(t + 1 < n)) for t in range(n)]
        for n in lengths
    ]
    return build(steps, numbered_from=number)


def written(lives: list[list[Episode]], capacity: int) -> tuple[Replay, list]:
    """Rings, and the transitions they hold."""
    replay = Replay(capacity, 2, ACTION_DIM, rings=len(lives), slack=2)
    held = []
    for ring, life in enumerate(lives):
        rows = rows_of(life)
        for episode, time in rows:
            write(replay, episode, time, ring)
        held += live_starts(rows, len(rows), capacity // len(lives))
    return replay, held


PRIOR = episodes(5, 1, 12, number=0)
LIVES = [episodes(4, 9, 7, number=100), episodes(3, 6, number=200)]


@pytest.mark.parametrize("keep", [False, True])
def test_every_sample_is_a_window_of_the_union(keep):
    spec = WindowSpec(3, 0.9, keep)
    replay, held = written(LIVES, 30)
    held = held + starts_of(rows_of(PRIOR))
    known = {(episode.number, time): (episode, time) for episode, time in held}
    batch = draw(dataset_of(PRIOR), replay, spec, 500)
    for i in range(500):
        number, time = (int(n) for n in batch.observation[i])
        expected = window(*known[number, time], spec)
        for name, wanted in expected.items():
            np.testing.assert_allclose(
                getattr(batch, name)[i], wanted, rtol=1e-5, atol=1e-5, err_msg=name
            )


@pytest.mark.statistical
@pytest.mark.parametrize("lives", [[], LIVES[:1], LIVES])
def test_sampling_is_uniform_over_the_union(lives):
    spec = WindowSpec(3, 0.99)
    replay, held = written(lives, 15 * len(lives)) if lives else (None, [])
    held = held + starts_of(rows_of(PRIOR))
    observations = np.asarray(draw(dataset_of(PRIOR), replay, spec, 40_000).observation)
    drawn, counts = np.unique(observations, axis=0, return_counts=True)
    assert {tuple(o) for o in drawn} == {tuple(e.observation(t)) for e, t in held}
    # Normal under the hypothesis: the deviate whose tail is the p-value.
    deviate = stats.norm.isf(stats.chisquare(counts).pvalue)
    statistical.assert_within("deviate", deviate, high=6.0)


@pytest.mark.statistical
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_share_of_a_batch_comes_from_the_replay(share):
    spec = WindowSpec(3, 0.99, online_share=share)
    replay, held = written(LIVES, 30)
    observations = np.asarray(draw(dataset_of(PRIOR), replay, spec, 10_000).observation)
    collected = {tuple(e.observation(t)) for e, t in held}
    online = np.array([tuple(o) in collected for o in observations])
    deviate = (online.mean() - share) / np.sqrt(0.25 / len(online))
    statistical.assert_within("deviate", abs(deviate), high=6.0)
    if share == 1:
        _, counts = np.unique(observations, axis=0, return_counts=True)
        assert len(counts) == len(held)
        deviate = stats.norm.isf(stats.chisquare(counts).pvalue)
        statistical.assert_within("deviate among them", deviate, high=6.0)


def test_without_a_replay_the_share_changes_nothing():
    prior = dataset_of(episodes(3, number=0))
    replay = Replay(100, 2, ACTION_DIM, slack=2)
    (episode,) = episodes(3, number=9)
    write(replay, episode, 0)  # an episode's first observation is no transition
    for held in (None, replay):
        batch = draw(prior, held, WindowSpec(2, 0.99, online_share=0.5), 400)
        assert set(np.asarray(batch.observation)[:, 0]) == {0}


def test_new_transitions_are_drawn_as_soon_as_they_are_there():
    spec = WindowSpec(2, 0.99)
    replay = Replay(100, 2, ACTION_DIM, slack=2)
    prior = dataset_of(episodes(3, number=0))
    (episode,) = episodes(3, number=9)
    write(replay, episode, 0)
    assert set(np.asarray(draw(prior, replay, spec, 400).observation)[:, 0]) == {0}
    write(replay, episode, 1)
    assert set(np.asarray(draw(prior, replay, spec, 400).observation)[:, 0]) == {0, 9}


def test_batches_depend_on_the_key_alone():
    prior = dataset_of(episodes(200, number=0))
    spec = WindowSpec(1, 0.99)
    first = draw(prior, None, spec, 32, 1).observation
    np.testing.assert_array_equal(first, draw(prior, None, spec, 32, 1).observation)
    assert not np.array_equal(first, draw(prior, None, spec, 32, 2).observation)


def test_prior_data_are_put_on_the_device_once():
    dataset = dataset_of(episodes(5, number=0))
    assert dataset.resident() is dataset.resident()


def test_the_mirror_is_of_the_moment_at_which_it_was_asked_for():
    """The host writes on at once, while the device is still at work."""
    work = jax.jit(lambda x: jax.lax.fori_loop(0, 50, lambda _, x: jnp.tanh(x @ x), x))
    x = jnp.ones((300, 300))
    work(x).block_until_ready()
    episode = dataclasses.replace(LIVES[0][0], number=7)
    for capacity in (20, 20_000, 200_000):
        for _ in range(5):
            replay = Replay(capacity, 2, ACTION_DIM, slack=2)
            write(replay, episode, 0)
            before = [array.copy() for array in replay.rows]
            busy = work(x)
            mirror = replay.mirror()
            write(replay, episode, 1)
            replay.rows.observations[:] += 1
            for array, copy in zip(mirror, before, strict=True):
                np.testing.assert_array_equal(array, copy)
            busy.block_until_ready()
