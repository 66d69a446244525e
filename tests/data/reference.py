"""Windows by loops over lists of episodes, as ``docs/methods/dfp.md`` defines them.

Knows nothing of rows and rings.
"""

import dataclasses

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from driftpolicy.batch import Batch
from driftpolicy.data.replay import Replay
from driftpolicy.data.transitions import Dataset
from driftpolicy.data.windows import WindowSpec, cut_windows

properties = settings(max_examples=80)
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


def windows_of(dataset: Dataset, spec: WindowSpec) -> Batch:
    """All windows of prior data, in order."""
    starts = dataset.rows.starts
    nought = np.zeros_like(starts)
    return cut_windows(
        dataset.rows, starts, spec, ring=nought, size=len(dataset.rows.last), newest=nought - 1
    )


def live_windows(replay: Replay, marks: np.ndarray, ring: int, spec: WindowSpec) -> Batch:
    """All windows that a ring held when it was marked, the oldest first."""
    first, transitions, newest = marks[ring]
    size = len(replay.rows.last) // len(marks)
    starts = replay.rows.starts[ring * size + np.arange(first, transitions) % size]
    same = np.ones_like(starts)
    return cut_windows(replay.rows, starts, spec, ring=ring * same, size=size, newest=newest * same)


def assert_windows(batch: Batch, starts: list[tuple[Episode, int]], spec: WindowSpec):
    """All the windows of a source, in order, are those of the reference."""
    assert len(batch.reward) == len(starts)
    if not starts:
        return
    expected = [window(episode, time, spec) for episode, time in starts]
    for name, actual in batch._asdict().items():
        assert actual.dtype == np.float32
        wanted = np.stack([w[name] for w in expected])
        np.testing.assert_allclose(actual, wanted, rtol=1e-5, atol=1e-5, err_msg=name)


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


def write(replay: Replay, episode: Episode, time: int, ring: int = 0) -> None:
    """Write one more observation of an episode: its first one, or the one after a step."""
    if time == 0:
        replay.start_episode(episode.observation(0), ring)
    else:
        replay.add(
            episode.actions[time - 1],
            episode.rewards[time - 1],
            episode.masks[time - 1] == 0,
            episode.observation(time),
            ring,
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
