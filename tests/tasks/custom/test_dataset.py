"""Data of one's own as transitions in the agent's units, scaled, ended and rewarded as chosen."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from driftpolicy.data.transitions import Dataset
from driftpolicy.errors import UserError
from driftpolicy.scaling import Scaling
from driftpolicy.tasks.benchmark import Benchmark, LoadOptions
from driftpolicy.tasks.custom import plain
from driftpolicy.tasks.custom.dataset import load_dataset
from driftpolicy.tasks.registry import benchmark_of, find_task
from driftpolicy.tasks.task import CustomSettings, Task
from tests.tasks.custom import own

from .recordings import demonstrate, write_lerobot

EPISODES = demonstrate()


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("own") / "point.npz"
    plain.write(path, EPISODES, control_rate=10.0)
    return path


def task(function: str = "make", **settings) -> Task:
    found = find_task(f"gymnasium:{Path(own.__file__)}:{function}")
    return dataclasses.replace(found, custom=CustomSettings(**settings))


def refused(file: Path, function: str = "make", **settings) -> str:
    with pytest.raises(UserError) as error:
        load_dataset(task(function, **settings), file)
    assert "\n" not in str(error.value)
    return str(error.value)


def moves(dataset: Dataset, name: str) -> np.ndarray:
    return getattr(dataset.rows, name)[~dataset.rows.last]


RAW = {name: np.concatenate([e[name] for e in EPISODES]) for name in EPISODES[0]}


def test_scaled_from_the_space(file):
    dataset = load_dataset(task(), file)
    scale = 2 * (RAW["actions"] - own.LOW) / (own.HIGH - own.LOW) - 1
    np.testing.assert_allclose(moves(dataset, "actions"), scale, atol=1e-6)
    np.testing.assert_array_equal(dataset.rows.observations, np.float32(RAW["observations"]))
    np.testing.assert_array_equal(moves(dataset, "rewards"), np.float32(RAW["rewards"]))
    np.testing.assert_array_equal(dataset.lengths, [len(e["actions"]) for e in EPISODES])
    assert moves(dataset, "masks").all()
    assert dataset.remarks == ()
    assert dataset.control_rate == 10
    assert dataset.scaling == Scaling(
        (0.0, 0.0), (1.0, 1.0), tuple(own.LOW.tolist()), tuple(own.HIGH.tolist())
    )


def test_scaled_from_the_data(file):
    dataset = load_dataset(task(action_bounds="data"), file)
    actions = moves(dataset, "actions")
    np.testing.assert_allclose(actions.min(axis=0), -1)
    np.testing.assert_allclose(actions.max(axis=0), 1, atol=1e-6)
    back = dataset.scaling.raw_actions(actions)
    np.testing.assert_allclose(back, RAW["actions"], atol=1e-6)


def test_normalised(file):
    dataset = load_dataset(task(normalise_observations=True), file)
    seen = dataset.rows.observations.astype(np.float64)
    np.testing.assert_allclose(seen.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(seen.std(axis=0), 1, atol=1e-6)
    np.testing.assert_array_equal(
        dataset.scaling.observations(RAW["observations"]), dataset.rows.observations
    )


def test_a_number_that_never_changes_is_only_shifted(tmp_path):
    still = [e | {"observations": e["observations"] * [1, 0] + [0, 7]} for e in EPISODES]
    plain.write(tmp_path / "a.npz", still)
    dataset = load_dataset(task(normalise_observations=True), tmp_path / "a.npz")
    assert not dataset.rows.observations[:, 1].any()
    assert "never change in these of their 2 numbers" in dataset.remarks[0]


def test_rewards_by_success_end_at_the_first(file):
    dataset = load_dataset(task(reward="success"), file)
    expected = [int(e["success"].argmax()) + 1 for e in EPISODES]
    np.testing.assert_array_equal(dataset.lengths, expected)
    ends = np.cumsum(expected) - 1
    rewards, masks = moves(dataset, "rewards"), moves(dataset, "masks")
    np.testing.assert_array_equal(np.flatnonzero(rewards == 0), ends)
    np.testing.assert_array_equal(np.flatnonzero(masks == 0), ends)
    assert set(rewards.tolist()) == {-1.0, 0.0}


def test_demonstrations_that_say_nothing_of_success_end_in_one(tmp_path):
    bare = [{name: e[name] for name in ("observations", "actions")} for e in EPISODES]
    plain.write(tmp_path / "a.npz", bare)
    dataset = load_dataset(task(reward="success"), tmp_path / "a.npz")
    np.testing.assert_array_equal(dataset.lengths, [len(e["actions"]) for e in EPISODES])
    assert moves(dataset, "masks").sum() == len(dataset) - len(EPISODES)
    assert "the end of every episode counts as a success" in dataset.remarks[0]
    assert "holds no rewards; --reward success makes them" in refused(tmp_path / "a.npz")


def test_masks_are_0_where_terminated_not_where_truncated(tmp_path):
    ended = [
        e | {"terminations": (np.eye(len(e["actions"]))[-1] > 0) & (number < 3)}
        for number, e in enumerate(EPISODES)
    ]
    plain.write(tmp_path / "a.npz", ended)
    dataset = load_dataset(task(), tmp_path / "a.npz")
    last = np.cumsum(dataset.lengths) - 1
    np.testing.assert_array_equal(np.flatnonzero(moves(dataset, "masks") == 0), last[:3])


def test_a_folder_is_the_same_data(tmp_path, file):
    """What follows the last success counts for nothing."""
    folder = write_lerobot(tmp_path / "set", EPISODES, "v3.0")
    one, other = (load_dataset(task(), path) for path in (file, folder))
    np.testing.assert_array_equal(moves(one, "observations"), moves(other, "observations"))
    np.testing.assert_array_equal(one.rows.actions, other.rows.actions)
    np.testing.assert_array_equal(one.rows.rewards, other.rows.rewards)


def test_success_must_be_said_by_exactly_one(file):
    assert "does not say when it succeeds" in refused(file, "silent")
    assert "leave --success-return -3 out" in refused(file, success_return=-3.0)
    mixed = {"success_return": -3.0, "reward": "success"}
    assert "needs an environment with success in its info" in refused(file, "silent", **mixed)
    assert len(load_dataset(task("silent", success_return=-3.0), file)) == len(RAW["actions"])
    assert len(load_dataset(task("late"), file)) == len(RAW["actions"])


def test_bounds_that_are_none(tmp_path, file):
    assert "go from -inf to inf in number 0, which are no bounds" in refused(file, "boundless")
    assert load_dataset(task("boundless", action_bounds="data"), file).scaling is not None
    still = [e | {"actions": e["actions"] * [1, 0] + [0, 1]} for e in EPISODES]
    plain.write(tmp_path / "a.npz", still)
    message = refused(tmp_path / "a.npz", action_bounds="data")
    assert "number 1 of the data's actions is always 1" in message


def test_findings_refuse_or_come_along(tmp_path, file):
    far = [e | {"actions": 3 * e["actions"]} for e in EPISODES]
    plain.write(tmp_path / "a.npz", far, control_rate=50.0)
    assert str(tmp_path / "a.npz") in refused(tmp_path / "a.npz")
    dataset = load_dataset(task(action_bounds="data"), tmp_path / "a.npz")
    remarks = "; ".join(dataset.remarks)
    assert ["outside" in remarks, "50 Hz" in remarks] == [True, True]
    with pytest.raises(UserError, match="leave --data-mask better out"):
        load_dataset(task(), file, LoadOptions(mask="better"))


def test_it_is_a_source_from_which_nothing_is_collected():
    found = benchmark_of(task())
    assert isinstance(found, Benchmark)
    with pytest.raises(UserError, match=r"name the data recorded for .*: --data SOURCE"):
        found.find_data(task())
    with pytest.raises(UserError, match="cannot be collected here"):
        next(found.collect(task(), Path("a"), episodes=1, seed=0, processes=1))
    with pytest.raises(UserError, match="nobody publishes"):
        found.published(task())


def test_each_benchmark_has_its_source_and_another_has_none():
    names = ("cube-single-play-singletask-task1-v0", "lift-mh-low_dim", "gymnasium:Pendulum-v1")
    assert len({benchmark_of(find_task(name)) for name in names}) == 3
    other = dataclasses.replace(find_task(names[0]), benchmark="other")
    with pytest.raises(UserError, match=r"^unknown benchmark 'other'; known: robomimic"):
        benchmark_of(other)


def test_scaling_survives_json():
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(4, 3)).astype(np.float32)
    scaling = Scaling(
        *(tuple(row.tolist()) for row in (numbers[0], numbers[1] ** 2, numbers[2], numbers[2] + 1))
    )
    stored = json.loads(json.dumps(scaling.to_json()))
    assert set(stored) == {
        "observation_mean",
        "observation_deviation",
        "action_low",
        "action_high",
    }
    assert Scaling.from_json(stored) == scaling
    assert Scaling.from_json(None) is None
    with pytest.raises(UserError, match="scaling is damaged"):
        Scaling.from_json({"mean": [0.0]})
    inside = rng.uniform(-1, 1, (100, 3)).astype(np.float32)
    np.testing.assert_allclose(scaling.actions(scaling.raw_actions(inside)), inside, atol=1e-5)
    edges = scaling.raw_actions(np.float32([[-1, -1, -1], [1, 1, 1], [5, -5, 5]]))
    assert (edges >= np.float32(scaling.action_low)).all()
    assert (edges <= np.float32(scaling.action_high)).all()
