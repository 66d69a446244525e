"""Files of demonstrations that people really have: each ends as its owner may rightly expect."""

import json
import re

import numpy as np
import pytest

h5py = pytest.importorskip("h5py", reason="needs h5py: uv sync --extra robomimic")

from driftpolicy.cli import main
from driftpolicy.errors import UserError
from driftpolicy.tasks.benchmark import LoadOptions
from driftpolicy.tasks.registry import find_task
from driftpolicy.tasks.robomimic.dataset import load_data
from tests.tasks.robomimic.conftest import LIFT_PARTS

LIFT = find_task("lift-ph-low_dim")
STEPS = 8


def controller(**changes):
    """The settings that robosuite 1.4 stored."""
    config = {
        "type": "OSC_POSE",
        "output_max": [0.05, 0.05, 0.05, 0.5, 0.5, 0.5],
        "output_min": [-0.05, -0.05, -0.05, -0.5, -0.5, -0.5],
        "input_max": 1,
        "input_min": -1,
        "kp": 150,
        "impedance_mode": "fixed",
        "damping_ratio": 1,
        "kp_limits": [0, 300],
        "damping_ratio_limits": [0, 10],
        "position_limits": None,
        "orientation_limits": None,
        "uncouple_pos_ori": True,
        "interpolation": None,
        "ramp_ratio": 0.2,
        "control_delta": True,
    }
    return config | changes


def demonstrations(path, change=lambda number, arrays: None, env_name="Lift", **arguments):
    """Write four successful demonstrations of random motion, each perhaps changed."""
    kwargs = {"robots": ["Panda"], "control_freq": 20, "controller_configs": controller()}
    env = {"env_name": env_name, "type": 1, "env_version": "1.4.1", "env_kwargs": kwargs}
    kwargs.update(arguments)
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs["env_args"] = json.dumps(env)
        for number in range(4):
            arrays = {
                "actions": rng.uniform(-1, 1, (STEPS, 7)),
                "rewards": np.arange(STEPS) == STEPS - 1,
                "states": rng.normal(0, 0.01, (STEPS, 32)),
            }
            for key, width in LIFT_PARTS.items():
                seen = rng.normal(0, 0.1, (STEPS + 1, width))
                arrays |= {f"obs/{key}": seen[:-1], f"next_obs/{key}": seen[1:]}
            change(number, arrays)
            for name, values in arrays.items():
                data[f"demo_{number}/{name}"] = values
    return path


def wide(number, arrays):
    arrays["actions"] *= 3.75


def failed(number, arrays):
    arrays["rewards"][:] = False


def longer(number, arrays):
    if number == 2:
        arrays["states"] = np.zeros((STEPS + 5, 32))


def wider(number, arrays):
    for part in ("obs", "next_obs"):
        arrays[f"{part}/object"] = np.zeros((STEPS, 14))


def broken(number, arrays):
    if number == 0:
        del arrays["actions"]
    elif number == 1:
        arrays["obs/object"][3, 2] = np.nan
    elif number == 3:
        arrays["actions"] = arrays["actions"][:, :6]


def unseen(number, arrays):
    for key in LIFT_PARTS:
        del arrays[f"next_obs/{key}"]


def still(number, arrays):
    arrays["actions"][:] = 0.0


def twins(number, arrays):
    rng = np.random.default_rng(number // 2)
    for values in arrays.values():
        values[:] = rng.normal(0, 0.1, values.shape) if values.dtype.kind == "f" else values


def outcome(path, capsys):
    """Return the status of ``inspect``, what it finds, and what training would show or refuse."""
    status = main(["data", "inspect", str(path), "--task", LIFT.name])
    shown = " ".join(capsys.readouterr().out.split())
    checks = shown.partition(" checks ")[2].partition(" task ")[0]
    try:
        return status, checks, "; ".join(load_data(LIFT, path, LoadOptions()).prior.remarks)
    except UserError as error:
        return status, checks, f"refused: {error}"


CASES = {
    "in order": (None, 0, ""),
    "actions out of bounds": (wide, 0, "of the steps have actions outside.*; they are clipped"),
    "no success": (failed, 0, "no step of the data is a success: all rewards are -1"),
    "states longer": (longer, 1, "demo_2 has 8 actions, but 13 rows of states .--skip-broken"),
    "other width": (wider, 1, "object has 14 numbers, in the environment 10"),
    "several broken": (broken, 1, "demo_0 lacks actions .2 more are broken; --skip-broken"),
    "a still robot": (still, 0, "the action never changes in 4 of 4 episodes"),
    "twice": (twins, 0, "copies among 4 episodes: 2 .demo_1 of demo_0, demo_3 of demo_2"),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.usefixtures("without_robosuite")
def test_cases(case, tmp_path, capsys):
    change, expected, text = CASES[case]
    path = demonstrations(tmp_path / "a.hdf5", *filter(None, [change]))
    status, found, before_training = outcome(path, capsys)
    assert status == expected
    for shown in (found, before_training):
        assert re.search(text, shown)
    assert before_training.startswith("refused") == (expected == 1)
    assert (found == "passed") == (case == "in order")


@pytest.mark.usefixtures("without_robosuite")
def test_another_environment_is_named_and_what_is_known(tmp_path, capsys):
    path = demonstrations(tmp_path / "a.hdf5", env_name="MG_StackThree_D1")
    status, found, before_training = outcome(path, capsys)
    assert status == 1
    for shown in (found, before_training):
        assert "its environment is MG_StackThree_D1, that of lift-ph-low_dim is Lift" in shown
        assert "known here are Lift, PickPlaceCan, NutAssemblySquare" in shown
    assert main(["data", "inspect", str(path)]) == 0
    assert "MG_StackThree_D1" in capsys.readouterr().out


@pytest.mark.usefixtures("without_robosuite")
def test_training_refuses_before_its_first_step(tmp_path, capsys):
    path = demonstrations(tmp_path / "a.hdf5", wider)
    train = ["train", LIFT.name, "--data", str(path), "--runs", str(tmp_path / "runs")]
    assert main(train) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"dfp: {path}: demo_0: object has 14 numbers")
    assert error.count("\n") == 1


@pytest.mark.usefixtures("without_robosuite")
def test_broken_demonstrations_are_left_out_if_asked(tmp_path):
    path = demonstrations(tmp_path / "a.hdf5", broken)
    lines = []
    options = LoadOptions(skip_broken=True, warn=lines.append)
    prior, description = load_data(LIFT, path, options)
    assert prior.episodes == 1
    assert lines == [
        "left out: demo_0 lacks actions",
        "left out: demo_1: observations hold NaN or infinity, first in row 3",
        "left out: demo_3: actions has 6 numbers, in the environment 7: was it recorded in "
        "another scene, or by another version?",
    ]
    whole = load_data(LIFT, demonstrations(tmp_path / "b.hdf5"), options)
    assert description["left_out"] == ["demo_0", "demo_1", "demo_3"]
    assert "left_out" not in whole.description


@pytest.mark.usefixtures("without_robosuite")
def test_a_file_without_masks_says_what_is_used_without_one(tmp_path):
    path = demonstrations(tmp_path / "a.hdf5")
    with pytest.raises(UserError, match=r"a\.hdf5 has no masks: without --data-mask train all"):
        load_data(LIFT, path, LoadOptions(mask="train"))


@pytest.mark.usefixtures("without_robosuite")
def test_without_what_followed_and_without_states(tmp_path):
    """A success is the end; otherwise the last action has no outcome, and goes."""

    def change(number, arrays):
        unseen(number, arrays)
        del arrays["states"]
        if number == 1:
            failed(number, arrays)

    path = demonstrations(tmp_path / "a.hdf5", change)
    prior, _ = load_data(LIFT, path, LoadOptions())
    assert prior.lengths.tolist() == [STEPS, STEPS - 1, STEPS, STEPS]
    assert np.array_equal(prior.rows.observations[STEPS], prior.rows.observations[STEPS - 1])
    assert (prior.rows.masks[~prior.rows.last] == 0).sum() == 3
    assert prior.remarks == (
        "next_obs is missing in 3 demonstrations: their last observations are left as the ones "
        "before, since nothing follows a success",
        "next_obs is missing in 1 demonstrations: their last observations are those before the "
        "last actions, which are dropped",
    )


@pytest.mark.usefixtures("without_robosuite")
def test_one_observation_more_needs_no_other(tmp_path):
    def change(number, arrays):
        for key in LIFT_PARTS:
            last = arrays.pop(f"next_obs/{key}")[-1:]
            arrays[f"obs/{key}"] = np.concatenate([arrays[f"obs/{key}"], last])

    found = load_data(LIFT, demonstrations(tmp_path / "a.hdf5", change), LoadOptions()).prior
    expected = load_data(LIFT, demonstrations(tmp_path / "b.hdf5"), LoadOptions()).prior
    assert np.array_equal(found.rows.observations, expected.rows.observations)
    assert found.remarks == ()


@pytest.mark.slow
@pytest.mark.simulator
def test_another_robot_and_another_meaning_of_actions(tmp_path, capsys):
    pytest.importorskip("robosuite", reason="needs robosuite: uv sync --extra robomimic")
    path = demonstrations(tmp_path / "a.hdf5")
    assert outcome(path, capsys) == (0, "passed", "")
    absolute = controller(control_delta=False)
    path = demonstrations(
        tmp_path / "a.hdf5", robots=["Sawyer"], control_freq=10, controller_configs=absolute
    )
    status, found, before_training = outcome(path, capsys)
    assert status == 1
    assert "refused: recorded with Sawyer, this program's environment has Panda" in found
    assert "refused: the controller's input_type is absolute" in found
    assert "warning: recorded at 10 Hz, this program's environment has 20" in found
    assert "recorded with Sawyer" in before_training
    softer = controller(kp=50)
    path = demonstrations(tmp_path / "a.hdf5", controller_configs=softer)
    status, found, before_training = outcome(path, capsys)
    assert status == 0
    assert "the controller's kp is 50, this program's environment has 150" in before_training
    path = demonstrations(tmp_path / "a.hdf5", controller_configs="by hand")
    assert main(["data", "inspect", str(path), "--task", LIFT.name]) == 2
    assert "its robots and controllers are none" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.simulator
def test_what_followed_comes_from_the_states(tmp_path, capsys):
    pytest.importorskip("robosuite", reason="needs robosuite: uv sync --extra robomimic")
    path = demonstrations(tmp_path / "a.hdf5", unseen)
    prior, _ = load_data(LIFT, path, LoadOptions())
    assert prior.lengths.tolist() == [STEPS] * 4
    (line,) = prior.remarks
    assert line.startswith("next_obs is missing in 4 demonstrations: their last observations are")
    assert line.endswith("simulated from the last states")

    def foreign(number, arrays):
        unseen(number, arrays)
        arrays["states"] = np.zeros((STEPS, 30))

    prior, _ = load_data(LIFT, demonstrations(path, foreign), LoadOptions())
    (line,) = prior.remarks
    assert "since nothing follows a success (their states do not help: the file's states" in line


@pytest.mark.slow
@pytest.mark.simulator
def test_verify_refuses_in_one_line(tmp_path, capsys):
    pytest.importorskip("robosuite", reason="needs robosuite: uv sync --extra robomimic")

    def fails(path):
        assert main(["data", "verify", str(path)]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        return error

    path = demonstrations(tmp_path / "a.hdf5", env_name="MG_StackThree_D1")
    assert "robosuite cannot make its environment MG_StackThree_D1" in fails(path)
    path = demonstrations(tmp_path / "a.hdf5", robots=["Nobody"])
    assert "none that robosuite has" in fails(path) or "cannot make" in fails(path)

    def narrow(number, arrays):
        arrays["actions"] = arrays["actions"][:, :5]

    assert "actions have 5 numbers" in fails(demonstrations(tmp_path / "a.hdf5", narrow))
