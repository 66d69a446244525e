"""Batches are drawn uniformly from the union of prior data and replay, and copy neither."""

import dataclasses
import tracemalloc

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from driftpolicy.batch import Batch
from driftpolicy.data.replay import Replay, Sampler
from driftpolicy.data.transitions import Dataset, WindowSpec

from .reference import (
    ACTION_DIM,
    Episode,
    build,
    dataset_of,
    episode_lists,
    live_starts,
    lives,
    properties,
    rows_of,
    specs,
    starts_of,
    window,
    write,
)


@properties
@given(lives, episode_lists, st.integers(1, 40), specs, st.integers(0, 2**40), st.integers(1, 4))
def test_many_steps_are_the_single_steps(prior, online, capacity, spec, seed, steps):
    sampler, _ = union(prior, online, capacity, spec, batch_size=5, seed=seed)
    together = sampler.sample(1000, steps)
    for step in range(steps):
        alone = sampler.sample(1000 + step)
        for name in Batch._fields:
            np.testing.assert_array_equal(
                getattr(together, name)[step], getattr(alone, name)[0], err_msg=name
            )


@properties
@given(lives, episode_lists, st.integers(1, 40), specs, st.integers(0, 2**40))
def test_every_sample_is_a_window_of_the_union(prior, online, capacity, spec, seed):
    sampler, starts = union(prior, online, capacity, spec, batch_size=30, seed=seed)
    known = {(episode.number, time): (episode, time) for episode, time in starts}
    batch = sampler.sample(3)
    for i in range(30):
        number, time = (int(n) for n in batch.observation[0, i])
        expected = window(*known[number, time], spec)
        for name, wanted in expected.items():
            np.testing.assert_allclose(
                getattr(batch, name)[0, i], wanted, rtol=1e-5, atol=1e-5, err_msg=name
            )


def union(prior, online, capacity, spec, *, batch_size, seed):
    """A sampler over prior data and a ring, and the transitions it may draw."""
    online = [dataclasses.replace(e, number=e.number + 1000) for e in online]
    rows = rows_of(online)
    replay = Replay(capacity, 2, ACTION_DIM)
    for episode, time in rows:
        write(replay, episode, time)
    starts = starts_of(rows_of(prior)) + live_starts(rows, len(rows), capacity)
    return Sampler([dataset_of(prior), replay], spec, batch_size, seed), starts


def plain(lengths: list[int]) -> list[Episode]:
    step = ((0.0, 0.0), 0.0, 1.0)
    return build([[step] * length for length in lengths])


def test_sampling_is_uniform_over_the_union():
    spec = WindowSpec(3, 0.99)
    sampler, starts = union(plain([5, 1, 12]), plain([4, 9, 7]), 15, spec, batch_size=1000, seed=0)
    observations = sampler.sample(0, 60).observation.reshape(-1, 2)
    drawn, counts = np.unique(observations, axis=0, return_counts=True)
    assert {tuple(o) for o in drawn} == {tuple(e.observation(t)) for e, t in starts}
    assert stats.chisquare(counts).pvalue > 0.001


def test_new_transitions_are_drawn_as_soon_as_they_are_there():
    spec = WindowSpec(2, 0.99)
    replay = Replay(100, 2, ACTION_DIM)
    sampler = Sampler([dataset_of(plain([3])), replay], spec, 400, 0)
    before = sampler.sample(0)
    (episode,) = build([[((0.5, 0.5), 1.0, 1.0)] * 3], numbered_from=9)
    for time in range(4):
        write(replay, episode, time)
    after = sampler.sample(0)
    assert set(before.observation[0, :, 0]) == {0}
    assert set(after.observation[0, :, 0]) == {0, 9}


def test_batches_depend_on_seed_and_step():
    data = [dataset_of(plain([200]))]
    spec = WindowSpec(1, 0.99)
    one = Sampler(data, spec, 32, 1)
    first = one.sample(5).observation
    assert np.array_equal(first, Sampler(data, spec, 32, 1).sample(5).observation)
    assert not np.array_equal(first, one.sample(6).observation)
    assert not np.array_equal(first, Sampler(data, spec, 32, 2).sample(5).observation)


def test_neither_source_is_copied_or_changed():
    rows = 200_000
    prior = Dataset(
        np.zeros((rows, 30), np.float32),
        np.zeros((rows, 5), np.float32),
        np.zeros(rows, np.float32),
        np.ones(rows, np.float32),
        np.arange(rows) == rows - 1,
    )
    replay = Replay(rows, 30, 5)
    replay.start_episode(np.zeros(30))
    for _ in range(10):
        replay.add(np.zeros(5), 0.0, False, np.zeros(30))
    for source in (prior, replay):
        for array in vars(source).values():
            if isinstance(array, np.ndarray):
                array.flags.writeable = False
    tracemalloc.start()
    try:
        sampler = Sampler([prior, replay], WindowSpec(5, 0.99), 256, 0)
        for step in range(3):
            sampler.sample(step, 4)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 0.2 * prior.observations.nbytes
