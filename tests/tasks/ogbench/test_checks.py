"""What is wrong with OGBench's data is said before training; sparse rewards are one thing."""

import numpy as np
import pytest

from driftpolicy.cli import main
from driftpolicy.config import resolve
from driftpolicy.data.files import write_npz
from driftpolicy.errors import UserError
from driftpolicy.tasks.benchmark import LoadOptions
from driftpolicy.tasks.ogbench.dataset import load_data, load_dataset
from driftpolicy.tasks.ogbench.environment import OGBenchEnvironment, make_simulator
from driftpolicy.tasks.ogbench.shards import open_shards
from driftpolicy.tasks.registry import find_task
from tests.tasks.ogbench.test_dataset import with_goals

CUBE = find_task("cube-double-play-singletask-task2-v0")
SPARSE = resolve(CUBE.name, "dfp", "paper", {"sparse": True}).configured_task()


@pytest.fixture
def arrays(episodes):
    """Two episodes of 25 rows."""
    return {name: array.copy() for name, array in episodes["cube-double"].items()}


def stored(path, arrays):
    write_npz(path, arrays)
    return path


def test_good_data_pass_but_for_what_is_true_of_them(arrays, tmp_path):
    """So short data never come to the goal, and leave the other cube where it was."""
    remarks = load_dataset(CUBE, stored(tmp_path / "a.npz", arrays)).remarks
    assert all("goal" in remark or "never change" in remark for remark in remarks)


def test_actions_outside_the_bounds_are_reported(arrays, tmp_path, capsys):
    arrays["actions"][:25, 1] = 3.75
    path = stored(tmp_path / "a.npz", arrays)
    (text,) = (r for r in load_dataset(CUBE, path).remarks if "bounds" in r)
    assert text.startswith("50% of the steps have actions outside the environment's bounds")
    assert "number 1" in text
    assert text.endswith("to 3.75, allowed are -1 to 1; they are clipped")
    for task in ((), ("--task", CUBE.name)):
        assert main(["data", "inspect", str(path), *task]) == 0
        shown = " ".join(capsys.readouterr().out.split())
        assert "warning: 50% of the steps have actions outside" in shown


def test_broken_episodes_are_named_or_left_out(arrays, tmp_path, capsys):
    arrays = {n: np.concatenate([values, values[:25], values]) for n, values in arrays.items()}
    arrays["actions"][30, 2] = np.nan
    arrays["qpos"][60, 0] = np.inf
    arrays["terminals"][-1] = 0
    path = stored(tmp_path / "a.npz", arrays)
    with pytest.raises(UserError) as error:
        load_dataset(CUBE, path)
    first = "episode 1: actions hold NaN or infinity, first in row 30"
    assert str(error.value) == (
        f"{path}: {first} (2 more are broken; --skip-broken leaves out what is broken)"
    )
    assert main(["data", "inspect", str(path), "--task", CUBE.name]) == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert f"refused: {first}" in shown
    assert "episode 4: the data does not end at an episode's end" in shown
    lines = []
    options = LoadOptions(skip_broken=True, warn=lines.append)
    prior, description = load_data(CUBE, path, options)
    assert prior.lengths.tolist() == [24, 24]
    np.testing.assert_array_equal(prior.rows.observations[25:], arrays["observations"][75:100])
    assert lines[0] == f"left out: {first}"
    assert [line.split(": ")[1] for line in lines] == ["episode 1", "episode 2", "episode 4"]
    assert description["left_out"] == ["episode 1", "episode 2", "episode 4"]


def test_nothing_is_left_of_data_that_are_broken_as_a_whole(arrays, tmp_path):
    arrays["observations"][[3, 30]] = np.nan
    path = stored(tmp_path / "a.npz", arrays)
    with pytest.raises(UserError, match="holds no whole episode: episode 0: observations hold"):
        load_dataset(CUBE, path, LoadOptions(skip_broken=True, warn=lambda line: None))


def test_shards_remember_what_was_found_when_they_were_converted(arrays, tmp_path):
    for number in range(2):
        stored(tmp_path / f"play-{number}.npz", arrays)
    arrays["actions"][:, 0] = 2.0
    stored(tmp_path / "play-2.npz", arrays)
    first = open_shards(CUBE, tmp_path)
    assert open_shards(CUBE, tmp_path).remarks == first.remarks
    (bounds,) = (remark for remark in first.remarks if "bounds" in remark)
    assert bounds.endswith("they are clipped (in play-2.npz)")
    assert any(r.endswith("(in play-0.npz, play-1.npz, play-2.npz)") for r in first.remarks)


# Sparse rewards


def test_sparse_rewards_of_data_are_success_minus_one(arrays, tmp_path):
    simulator = make_simulator(CUBE.environment)
    simulator.reset(seed=0)
    arrays = with_goals("cube-double", arrays, simulator.cur_task_info)
    path = stored(tmp_path / "a.npz", arrays)
    dense, sparse = load_dataset(CUBE, path).rows, load_dataset(SPARSE, path).rows
    np.testing.assert_array_equal(dense.masks, sparse.masks)
    np.testing.assert_array_equal(sparse.rewards, np.where(sparse.masks == 0, 0.0, -1.0))
    assert set(np.unique(dense.rewards)) == {-2.0, -1.0, 0.0}
    assert sparse.rewards.dtype == dense.rewards.dtype


def test_shards_keep_both_kinds_of_rewards(arrays, tmp_path):
    stored(tmp_path / "play-0.npz", arrays)
    dense, sparse = open_shards(CUBE, tmp_path), open_shards(SPARSE, tmp_path)
    starts = np.arange(len(dense), dtype=np.int32)
    assert dense.gather(starts, 1).rewards.min() == -2.0
    assert sparse.gather(starts, 1).rewards.min() == -1.0


def test_the_environment_gives_the_rewards_of_the_data():
    """Both cubes, one of them and none are out of place, at the same steps."""
    rewards = []
    for task in (CUBE, SPARSE):
        environment = OGBenchEnvironment(task, 64)
        environment.reset(0)
        simulator = environment._simulator
        steps = [environment.step(np.zeros(5))]
        goals = simulator._data.mocap_pos[simulator._cube_target_mocap_ids]
        for cube, goal in enumerate(goals):
            simulator._data.joint(f"object_joint_{cube}").qpos[:3] = goal
            steps.append(environment.step(np.zeros(5)))
        steps.append(environment.step(np.zeros(5)))
        assert [step.terminated for step in steps] == [False, False, False, True]
        rewards.append([step.reward for step in steps])
    assert rewards == [[-2.0, -1.0, 0.0, 0.0], [-1.0, -1.0, 0.0, 0.0]]


def test_sparse_is_of_ogbench_alone():
    assert resolve(CUBE.name, "dfp", "paper", {}).configured_task() == CUBE
    with pytest.raises(UserError, match="sparse must be left out: lift-mh-low_dim has no such"):
        resolve("lift-mh-low_dim", "dfp", "paper", {"sparse": True})
