"""Scripted demonstrations: operators that succeed, and a file that others can read."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

h5py = pytest.importorskip("h5py", reason="needs h5py: uv sync --extra robomimic")
pytest.importorskip("robosuite", reason="needs robosuite: uv sync --extra robomimic")

from driftpolicy.cli import main
from driftpolicy.errors import UserError
from driftpolicy.tasks.registry import find_task
from driftpolicy.tasks.robomimic import collect as demonstrate
from driftpolicy.tasks.robomimic import dataset as robomimic
from driftpolicy.tasks.robomimic.checks import mismatches
from driftpolicy.tasks.robomimic.demonstrations import DemoFile
from driftpolicy.tasks.robomimic.environment import HORIZONS
from driftpolicy.tasks.robomimic.scripted_operators import OPERATORS
from driftpolicy.tasks.robomimic.verify import replay
from tests import statistical
from tests.statistical import assert_within

pytestmark = [pytest.mark.slow, pytest.mark.simulator]

SEED = statistical.seed(0)
HUMAN = Path(__file__).parents[3] / "shared/data/robosuite-1.4.1-lift-panda/demo.hdf5"
human = pytest.mark.skipif(
    not HUMAN.exists(), reason="robosuite 1.4.1's human Lift demonstrations are not here"
)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Seven demonstrations of Lift: each operator, and the first once more."""
    path = tmp_path_factory.mktemp("demos") / "lift.hdf5"
    counts = demonstrate.collect("Lift", path, episodes=7, seed=SEED, processes=2)
    assert list(counts) == list(range(1, 8))
    return path


@pytest.mark.statistical
@pytest.mark.parametrize("environment", list(HORIZONS))
def test_better_operators_succeed(environment):
    """Nearly always: on Square 100 of 104 attempts, on the others 100 of 100."""
    demonstrator = demonstrate.Demonstrator(environment, seed=SEED)
    operators = ("better_operator_1", "better_operator_2")
    lengths = []
    for operator, number in itertools.product(operators, range(3)):
        rows = demonstrator.attempt(operator, SEED + number)
        if rows["rewards"][-1] == 1.0:
            lengths.append(len(rows["actions"]))
    assert_within("successes of 6", len(lengths), low=2.5)  # three or more
    assert max(lengths) < HORIZONS[environment]


@pytest.mark.statistical
def test_worse_operators_take_longer():
    demonstrator = demonstrate.Demonstrator("Lift", seed=SEED)

    def steps(numbers):
        return np.mean([len(demonstrator.demonstrate(n)["actions"]) for n in numbers])

    worse = steps(n for n in range(36) if demonstrate.operator_of(n).startswith("worse"))
    assert_within("worse / better", worse / steps((0, 1, 6, 7)), low=1.5)


def test_the_file_is_in_robomimics_layout(file):
    """Read as its documentation says, without this package."""
    with h5py.File(file) as stored:
        data = stored["data"]
        env_args = json.loads(data.attrs["env_args"])
        assert env_args["env_name"] == "Lift"
        assert env_args["type"] == 1
        assert env_args["env_version"].startswith("1.5")
        assert env_args["env_kwargs"]["robots"] == "Panda"
        assert sorted(data) == [f"demo_{i}" for i in range(7)]
        total = 0
        for name in data:
            demo = data[name]
            steps = demo.attrs["num_samples"]
            total += steps
            for key in ("actions", "rewards", "dones", "states"):
                assert len(demo[key]) == steps
            assert demo["actions"].shape == (steps, 7)
            assert np.abs(demo["actions"]).max() <= 1.0
            assert demo["rewards"][:].tolist() == [0.0] * (steps - 1) + [1.0]
            assert demo["dones"][:].tolist() == [0] * (steps - 1) + [1]
            widths = {"robot0_eef_pos": 3, "robot0_eef_quat": 4, "robot0_gripper_qpos": 2}
            for key, width in (widths | {"object": 10}).items():
                assert demo["obs"][key].shape == demo["next_obs"][key].shape == (steps, width)
                np.testing.assert_array_equal(demo["obs"][key][1:], demo["next_obs"][key][:-1])
        assert data.attrs["total"] == total
        masks = {name: [item.decode() for item in stored["mask"][name]] for name in stored["mask"]}
    assert masks["better_operator_1"] == ["demo_0", "demo_6"]
    assert masks["worse"] == ["demo_4", "demo_5"]
    assert set(masks["train"]) == {f"demo_{i}" for i in range(7)}
    assert set(OPERATORS) < set(masks)


def test_a_tenth_of_every_operators_demonstrations_is_for_validation():
    masks = demonstrate._masks(300)
    assert len(masks["valid"]) == 30
    assert {*masks["train"], *masks["valid"]} == {f"demo_{i}" for i in range(300)}
    for operator in OPERATORS:
        assert len(masks[operator]) == 50
        assert len(set(masks[operator]) & set(masks["valid"])) == 5


def test_it_says_that_its_operators_are_scripts(file):
    told = robomimic.describe(file)
    assert told["origin"] == "collected"
    assert "scripted operators, not people; not the published dataset" in told["note"]
    assert sum(told["attempts"].values()) >= 7
    assert told["seed"] == SEED


def test_demonstrations_do_not_depend_on_the_number_of_processes(file, tmp_path):
    path = tmp_path / "one.hdf5"
    list(demonstrate.collect("Lift", path, episodes=7, seed=SEED, processes=1))
    assert path.read_bytes() == file.read_bytes()
    other = tmp_path / "other.hdf5"
    list(demonstrate.collect("Lift", other, episodes=1, seed=SEED + 1, processes=1))
    with DemoFile(other) as a, DemoFile(file) as b:
        assert not np.array_equal(a.demo("demo_0").states[0], b.demo("demo_0").states[0])


def test_it_trains_as_transitions(file):
    dataset = robomimic.load_dataset(find_task("lift-mh-low_dim"), file)
    assert dataset.episodes == 7
    assert dataset.rows.observations.shape[1] == 19
    assert (dataset.rows.masks[~dataset.rows.last] == 0).sum() == 7


@pytest.mark.statistical
def test_replayed_actions_repeat_the_demonstrations(file):
    with DemoFile(file) as demos:
        assert mismatches(demos) == []
        for each in replay(demos, demos.names[:3]):
            assert each.recorded_success
            assert each.replayed_success
            # The solver starts elsewhere.
            assert_within("first divergence", each.divergence[0], high=1e-5)
            # The controller starts anew at the first state: what it remembers is not stored.
            assert_within("last divergence", each.divergence[-1], high=0.02)
            assert_within("observation", each.observation, high=0.03)


def observations(dataset):
    """Of each episode, its last one included."""
    return np.split(dataset.rows.observations, np.flatnonzero(dataset.rows.last)[:-1] + 1)


@pytest.mark.statistical
def test_observations_by_replay_are_those_recorded(file, tmp_path):
    """Without what was seen and earned, both come back from the states."""
    path = tmp_path / "states.hdf5"
    path.write_bytes(file.read_bytes())
    with h5py.File(path, "a") as stored:
        for demo in stored["data"].values():
            for key in ("obs", "next_obs", "rewards", "dones"):
                del demo[key]
    task = find_task("lift-mh-low_dim")
    found, expected = robomimic.load_dataset(task, path), robomimic.load_dataset(task, file)
    # robosuite samples what is seen a simulation step (2 ms) before the state at a step's end. So a
    # success may be seen one control step earlier, and ends the episode.
    assert found.episodes == expected.episodes == 7
    assert np.all(np.isin(expected.lengths - found.lengths, (0, 1)))
    apart = np.concatenate(
        [
            np.abs(a - b[: len(a)]).ravel()
            for a, b in zip(observations(found), observations(expected), strict=True)
        ]
    )
    for dataset in (found, expected):
        ends = np.cumsum(dataset.lengths) - 1
        assert np.all(np.delete(dataset.rows.rewards[~dataset.rows.last], ends) == -1)
        assert np.all(dataset.rows.rewards[~dataset.rows.last][ends] == 0)
    assert_within("mean", apart.mean(), high=1e-3)
    assert_within("most", apart.max(), high=0.04)


def test_commands(file, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["data", "inspect", str(file), "--task", "lift-mh-low_dim"]) == 0
    output = capsys.readouterr().out
    for text in ("Lift", "Panda, OSC_POSE", "7, ", "worse_operator_2 1", "in 7 of 7 episodes"):
        assert text in output
    assert "attempts: better_operator_1 " in output
    assert "{" not in output
    assert main(["data", "verify", str(file), "--demos", "2"]) == 0
    assert "2 of 2 successful demonstrations succeed" in capsys.readouterr().out
    assert main(["data", "collect", "lift", "--episodes", "1", "--processes", "1"]) == 0
    assert Path("data/lift-mh-low_dim-collected.hdf5").exists()
    with pytest.raises(UserError, match="--episodes must be at least 1, not 0"):
        list(demonstrate.collect("Lift", tmp_path / "x", episodes=0, seed=0, processes=1))
    capsys.readouterr()
    assert main(["data", "collect", "can", "--episode-steps", "5"]) == 2
    assert "--episode-steps is of OGBench's data only" in capsys.readouterr().err


@human
def test_human_demonstrations_are_seen_by_replay(capsys):
    """Three people's recordings of robosuite 1.4.1: states and actions, keyboard-driven."""
    dataset = robomimic.load_dataset(find_task("lift-ph-low_dim"), HUMAN)
    assert dataset.episodes == 3
    lengths = np.diff(np.flatnonzero(dataset.rows.last), prepend=-1) - 1
    assert np.all(lengths <= [482, 510, 392])
    assert (dataset.rows.masks[~dataset.rows.last] == 0).sum() == 3  # all of them lift the cube
    assert np.abs(dataset.rows.actions).max() == 1.0
    with DemoFile(HUMAN) as demos:
        text = "; ".join(mismatches(demos))
    assert "recorded with robosuite 1.4.0" in text
    assert "controller settings are of robosuite before 1.5" in text
    assert main(["data", "verify", str(HUMAN), "--demos", "1"]) in (0, 1)
    output = capsys.readouterr().out
    assert "demo_1" in output
    assert "none" in output
    assert main(["data", "inspect", str(HUMAN)]) == 0
    assert "states only" in capsys.readouterr().out
