"""Windows of datasets and of the replay ring against loops over episodes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftpolicy.data.replay import Replay, write_rows
from driftpolicy.data.transitions import Dataset
from driftpolicy.data.windows import WindowSpec
from driftpolicy.errors import UserError

from .reference import (
    ACTION_DIM,
    assert_windows,
    build,
    dataset_of,
    episode_lists,
    live_starts,
    live_windows,
    lives,
    properties,
    rows_of,
    specs,
    starts_of,
    windows_of,
    write,
)


@properties
@given(lives, specs)
def test_dataset(episodes, spec):
    dataset = dataset_of(episodes)
    assert dataset.episodes == len(episodes)
    assert len(dataset) == len(starts_of(rows_of(episodes)))
    assert_windows(windows_of(dataset, spec), starts_of(rows_of(episodes)), spec)


@properties
@given(episode_lists, st.integers(1, 40), specs, st.data())
def test_replay_at_every_moment(episodes, capacity, spec, data):
    """Also in mid-episode, across the write pointer, in rings smaller than an episode."""
    rows = rows_of(episodes)
    looks = data.draw(st.sets(st.integers(1, len(rows)), max_size=5)) | {len(rows)}
    replay = Replay(capacity, 2, ACTION_DIM, slack=0)
    assert len(replay) == 0
    for written, (episode, time) in enumerate(rows, start=1):
        write(replay, episode, time)
        if written in looks:
            held = live_starts(rows, written, capacity)
            assert len(replay) == len(held)
            assert_windows(live_windows(replay, replay.marks(), 0, spec), held, spec)


@properties
@given(st.lists(episode_lists, min_size=2, max_size=3), st.integers(6, 60), specs, st.data())
def test_what_rings_held_is_known_for_a_while(lives, capacity, spec, data):
    """Marks still mean the same after ``slack`` more rows in every ring."""
    slack = data.draw(st.integers(1, 6))
    written = [rows_of(episodes) for episodes in lives]
    moments = [data.draw(st.integers(0, len(rows))) for rows in written]
    replay = Replay(capacity, 2, ACTION_DIM, rings=len(lives), slack=slack)
    for ring, (rows, moment) in enumerate(zip(written, moments, strict=True)):
        for episode, time in rows[:moment]:
            write(replay, episode, time, ring)
    marks = replay.marks()
    for ring, (rows, moment) in enumerate(zip(written, moments, strict=True)):
        for episode, time in rows[moment : moment + slack]:
            write(replay, episode, time, ring)
    for ring, (rows, moment) in enumerate(zip(written, moments, strict=True)):
        held = live_starts(rows, moment, capacity // len(lives))
        assert_windows(live_windows(replay, marks, ring, spec), held, spec)


@properties
@given(st.lists(episode_lists, min_size=1, max_size=2), st.integers(4, 30), st.data())
def test_the_mirror_follows(lives, capacity, data):
    slack = data.draw(st.sampled_from([2, 4]))
    replay = Replay(capacity, 2, ACTION_DIM, rings=len(lives), slack=slack)
    mirror = replay.mirror()
    left = [rows_of(episodes) for episodes in lives]
    while any(left):
        for ring, rows in enumerate(left):
            count = data.draw(st.integers(1, slack - 1))  # the row before these changes as well
            for episode, time in rows[:count]:
                write(replay, episode, time, ring)
            left[ring] = rows[count:]
        mirror = write_rows(mirror, replay.recent())
        for name, array in replay.rows._asdict().items():
            np.testing.assert_array_equal(getattr(mirror, name), array, err_msg=name)


@properties
@given(episode_lists, st.integers(1, 40), specs, st.data())
def test_a_restored_replay_continues_identically(episodes, capacity, spec, data):
    rows = rows_of(episodes)
    moment = data.draw(st.integers(0, len(rows)))
    replay = Replay(capacity, 2, ACTION_DIM, slack=3)
    for episode, time in rows[:moment]:
        write(replay, episode, time)
    stored = {name: array.copy() for name, array in replay.state().items()}
    restored = Replay(capacity, 2, ACTION_DIM, slack=3)
    if data.draw(st.booleans(), label="into a ring that has been used"):
        for episode, time in rows:
            write(restored, episode, time)
    restored.load(stored)
    for ring in (replay, restored):
        held = live_starts(rows, moment, capacity)
        assert_windows(live_windows(ring, ring.marks(), 0, spec), held, spec)
        for episode, time in rows[moment:]:
            write(ring, episode, time)
        held = live_starts(rows, len(rows), capacity)
        assert_windows(live_windows(ring, ring.marks(), 0, spec), held, spec)
    for name, array in replay.state().items():
        np.testing.assert_array_equal(restored.state()[name], array, err_msg=name)


def test_a_memory_mapped_dataset_gives_the_same_windows(tmp_path):
    episodes = build([[((0.1 * t, -0.1), float(t), 1.0) for t in range(9)]] * 4)
    dataset = dataset_of(episodes)
    np.save(tmp_path / "observations.npy", dataset.rows.observations)
    mapped = np.load(tmp_path / "observations.npy", mmap_mode="r")
    other = Dataset(
        mapped, dataset.rows.actions, dataset.rows.rewards, dataset.rows.masks, dataset.rows.last
    )
    spec = WindowSpec(4, 0.9)
    assert_windows(windows_of(other, spec), starts_of(rows_of(episodes)), spec)


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
