"""Windows, the replay ring and the sampler against loops over episodes.

The reference knows nothing of rows and rings: it walks lists of episodes, from ``method.md`` 3.
"""

import dataclasses
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from driftpolicy.batch import Batch
from driftpolicy.data.replay import Replay, Sampler
from driftpolicy.data.transitions import Dataset, Transitions, WindowSpec
from driftpolicy.errors import UserError

properties = settings(deadline=None, max_examples=80)
ACTION_DIM = 2


@dataclasses.dataclass
class Episode:
    """Observations are (number of the episode, time): every one is unique."""

    number: int
    actions: list[np.ndarray]
    rewards: list[float]
    masks: list[float]

    def observation(self, time: int) -> np.ndarray:
        return np.array([self.number, time], np.float32)

    def __len__(self) -> int:
        return len(self.rewards)


def window(episode: Episode, start: int, spec: WindowSpec) -> dict[str, np.ndarray]:
    """The window of the transition ``start``, one step at a time."""
    actions, valid = [], []
    reward, mask, discount, following = 0.0, 1.0, 1.0, start
    for time in range(start, start + spec.length):
        exists = time < len(episode)
        valid.append(float(exists))
        actions.append(episode.actions[time] if exists else np.zeros(ACTION_DIM))
        if exists:
            absorbed = spec.keep_terminal and mask == 0
            reward += 0.0 if absorbed else discount * episode.rewards[time]
            mask *= episode.masks[time]
            following = time + 1
        discount *= spec.discount
    return {
        "observation": episode.observation(start),
        "actions": np.array(actions),
        "reward": np.array(reward),
        "mask": np.array(mask),
        "next_observation": episode.observation(following),
        "valid": np.array(valid),
    }


def rows_of(episodes: list[Episode]) -> list[tuple[Episode, int]]:
    """Every stored observation in the order of writing: T+1 per episode."""
    return [(episode, time) for episode in episodes for time in range(len(episode) + 1)]


def starts_of(rows: list[tuple[Episode, int]]) -> list[tuple[Episode, int]]:
    """Those at which a transition starts."""
    return [(episode, time) for episode, time in rows if time < len(episode)]


def assert_windows(source: Transitions, starts: list[tuple[Episode, int]], spec: WindowSpec):
    """All the windows of a source, in order, are those of the reference."""
    assert len(source) == len(starts)
    if not starts:
        return
    batch = source.windows(source.rows(np.arange(len(starts))), spec)
    expected = [window(episode, time, spec) for episode, time in starts]
    for name, actual in batch._asdict().items():
        assert actual.dtype == np.float32
        wanted = np.stack([w[name] for w in expected])
        np.testing.assert_allclose(actual, wanted, rtol=1e-5, atol=1e-5, err_msg=name)


specs = st.builds(
    WindowSpec,
    length=st.integers(1, 7),
    discount=st.sampled_from([0.5, 0.9, 0.99, 1.0]),
    keep_terminal=st.booleans(),
)
numbers = st.floats(-4, 4, width=16)
steps = st.tuples(
    st.tuples(numbers, numbers), numbers, st.sampled_from([1.0, 1.0, 1.0, 0.0])
)  # action, reward, mask


def build(lists: list[list], numbered_from: int = 0) -> list[Episode]:
    return [
        Episode(
            numbered_from + number,
            [np.array(action, np.float32) for action, _, _ in parts],
            [reward for _, reward, _ in parts],
            [mask for _, _, mask in parts],
        )
        for number, parts in enumerate(lists)
    ]


# Also episodes without a transition (a lone observation), in which play data could end.
episode_lists = st.lists(st.lists(steps, max_size=12), min_size=1, max_size=8).map(build)
lives = episode_lists.filter(lambda episodes: any(len(e) for e in episodes))


def dataset_of(episodes: list[Episode]) -> Dataset:
    """The final observations' actions, rewards and masks are nonsense that must not matter."""
    rows = rows_of(episodes)
    inner = [time < len(episode) for episode, time in rows]
    return Dataset(
        np.stack([episode.observation(time) for episode, time in rows]),
        np.stack(
            [
                e.actions[t] if ok else np.full(ACTION_DIM, 77, np.float32)
                for (e, t), ok in zip(rows, inner, strict=True)
            ]
        ),
        np.array(
            [e.rewards[t] if ok else 1e6 for (e, t), ok in zip(rows, inner, strict=True)], "f"
        ),
        np.array([e.masks[t] if ok else 0.0 for (e, t), ok in zip(rows, inner, strict=True)], "f"),
        ~np.array(inner),
    )


@properties
@given(lives, specs)
def test_dataset(episodes, spec):
    dataset = dataset_of(episodes)
    assert dataset.episodes == len(episodes)
    assert_windows(dataset, starts_of(rows_of(episodes)), spec)


def write(replay: Replay, episode: Episode, time: int) -> None:
    """Write one more observation of an episode: its first one, or the one after a step."""
    if time == 0:
        replay.start_episode(episode.observation(0))
    else:
        replay.add(
            episode.actions[time - 1],
            episode.rewards[time - 1],
            episode.masks[time - 1] == 0,
            episode.observation(time),
        )


def live_starts(rows: list[tuple[Episode, int]], written: int, capacity: int):
    """The transitions that a ring holds, in episodes cut to what has been written of them."""
    lengths: dict[int, int] = {}
    for episode, time in rows[:written]:
        lengths[episode.number] = time
    seen = [
        (Episode(e.number, e.actions[:n], e.rewards[:n], e.masks[:n]), time)
        for e, time in rows[:written]
        for n in [lengths[e.number]]
    ]
    kept = seen[max(0, written - capacity) :]
    return starts_of(kept)


@properties
@given(episode_lists, st.integers(1, 40), specs, st.data())
def test_replay_at_every_moment(episodes, capacity, spec, data):
    """Also in mid-episode, across the write pointer, in rings smaller than an episode."""
    rows = rows_of(episodes)
    looks = data.draw(st.sets(st.integers(1, len(rows)), max_size=5)) | {len(rows)}
    replay = Replay(capacity, 2, ACTION_DIM)
    assert len(replay) == 0
    for written, (episode, time) in enumerate(rows, start=1):
        write(replay, episode, time)
        if written in looks:
            assert_windows(replay, live_starts(rows, written, capacity), spec)


@properties
@given(episode_lists, st.integers(1, 40), specs, st.data())
def test_a_restored_replay_continues_identically(episodes, capacity, spec, data):
    rows = rows_of(episodes)
    moment = data.draw(st.integers(0, len(rows)))
    replay = Replay(capacity, 2, ACTION_DIM)
    for episode, time in rows[:moment]:
        write(replay, episode, time)
    stored = {name: array.copy() for name, array in replay.state().items()}
    restored = Replay(capacity, 2, ACTION_DIM)
    if data.draw(st.booleans(), label="into a ring that has been used"):
        for episode, time in rows:
            write(restored, episode, time)
    restored.load(stored)
    for ring in (replay, restored):
        assert_windows(ring, live_starts(rows, moment, capacity), spec)
        for episode, time in rows[moment:]:
            write(ring, episode, time)
        assert_windows(ring, live_starts(rows, len(rows), capacity), spec)
    for name, array in replay.state().items():
        np.testing.assert_array_equal(restored.state()[name], array, err_msg=name)


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


def test_a_memory_mapped_dataset_gives_the_same_windows(tmp_path):
    episodes = build([[((0.1 * t, -0.1), float(t), 1.0) for t in range(9)]] * 4)
    dataset = dataset_of(episodes)
    np.save(tmp_path / "observations.npy", dataset.observations)
    mapped = np.load(tmp_path / "observations.npy", mmap_mode="r")
    other = Dataset(mapped, dataset.actions, dataset.rewards, dataset.masks, dataset.last)
    assert_windows(other, starts_of(rows_of(episodes)), WindowSpec(4, 0.9))


def arrays(rows: int) -> dict[str, np.ndarray]:
    return {
        "observations": np.zeros((rows, 2), np.float32),
        "actions": np.zeros((rows, 2), np.float32),
        "rewards": np.zeros(rows, np.float32),
        "masks": np.ones(rows, np.float32),
        "last": np.arange(rows) == rows - 1,
    }


@pytest.mark.parametrize("name", ["observations", "actions", "rewards"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_single_nan_or_infinity_is_refused_by_row(name, value):
    bad = arrays(8)
    bad[name].reshape(8, -1)[5, -1] = value
    with pytest.raises(UserError, match=f"{name} hold NaN or infinity, first in row 5"):
        Dataset(**bad)


def test_data_without_an_end_or_a_transition_are_refused():
    with pytest.raises(UserError, match="does not end at an episode's end"):
        Dataset(**{**arrays(5), "last": np.zeros(5, bool)})
    with pytest.raises(UserError, match="no transition"):
        Dataset(**{**arrays(5), "last": np.ones(5, bool)})
    with pytest.raises(UserError, match="does not end"):
        Dataset(**arrays(0))
