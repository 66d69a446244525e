"""Where OGBench data are found, and what reading them gives."""

import functools
import json
import os
import re

import numpy as np
import pytest

from driftpolicy.data.files import write_npz
from driftpolicy.errors import UserError
from driftpolicy.tasks.ogbench import dataset as dataset_module
from driftpolicy.tasks.ogbench.dataset import describe, find_dataset, load_dataset
from driftpolicy.tasks.ogbench.environment import make_simulator, reset_simulator
from driftpolicy.tasks.ogbench.places import collected_path
from driftpolicy.tasks.ogbench.summary import summarise
from driftpolicy.tasks.registry import find_task, find_task_of_dataset, missing_data
from driftpolicy.tasks.sections import rewards_in

TASKS = {
    "cube-double": "cube-double-play-singletask-task2-v0",
    "scene": "scene-play-singletask-task2-v0",
    "puzzle-3x3": "puzzle-3x3-play-singletask-task4-v0",
}
CUBE = find_task(TASKS["cube-double"])


@functools.cache
def simulator_of(environment: str):
    return make_simulator(environment)


@pytest.fixture(autouse=True)
def _shared_simulators(monkeypatch):
    """Simulators do not remember what came before; making one takes most of a test's time."""
    monkeypatch.setattr(dataset_module, "make_simulator", simulator_of)


def write(path, arrays, **metadata):
    path.parent.mkdir(parents=True, exist_ok=True)
    label = {"metadata": np.array(json.dumps(metadata))} if metadata else {}
    write_npz(path, {**label, **arrays})
    return path


def refused(match: str, call, *arguments) -> str:
    with pytest.raises(UserError, match=match) as error:
        call(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


# Finding


def test_a_named_file_comes_first_then_published_then_collected(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    assert find_dataset(CUBE) is None
    collected = tmp_path / "data" / "cube-double-play-v0-collected.npz"
    published = tmp_path / "home" / ".ogbench" / "data" / "cube-double-play-v0.npz"
    named = tmp_path / "home" / "mine.npz"
    for path in (collected, published, named):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        found = find_dataset(CUBE)
        assert found is not None
        assert found.resolve() == (collected if path == collected else published)
    assert find_dataset(CUBE, str(named)) == named
    assert find_dataset(CUBE, "~/mine.npz") == named
    assert collected_path("cube-double-play-v0").resolve() == collected
    refused("--data gone.npz: no such file", find_dataset, CUBE, "gone.npz")


def test_missing_data_name_the_three_ways():
    text = str(missing_data(CUBE))
    for way in ("dfp data download cube-double-play-v0", "dfp data collect", "--data PATH"):
        assert way in text
    assert "\n" not in text


def test_sources_have_the_names_of_datasets_and_of_tasks():
    assert find_task_of_dataset("scene-noisy-v0").family == "scene"
    assert find_task_of_dataset("scene-noisy-v0").kind == "noisy"
    assert find_task_of_dataset(CUBE.name) == CUBE
    assert find_task_of_dataset("cube-quadruple-play-100m-v0").kind == "play-100m"
    assert "cube-double-play-v0" in refused(
        "unknown dataset", find_task_of_dataset, "cube-duoble-play-v0"
    )
    refused("unknown dataset ''", find_task_of_dataset, "")


# Rewards


def with_goals(family: str, arrays: dict, task_info: dict) -> dict:
    """Some rows are put at the task's goal, some just within reach of it, some just without."""
    arrays = {name: array.copy() for name, array in arrays.items()}
    qpos = arrays["qpos"]
    if family == "cube-double":
        goals = task_info["goal_xyzs"]
        for cube in range(2):
            place = slice(14 + 7 * cube, 17 + 7 * cube)
            qpos[5:20, place] = goals[cube]
            qpos[30:34, place] = goals[cube] + [0.0, 0.0, 0.039]
            qpos[34:38, place] = goals[cube] + [0.0, 0.0, 0.041]
        qpos[5:8, 14] += 0.2  # only the second cube
    elif family == "scene":
        goal = task_info["goal"]
        arrays["button_states"][5:20] = goal["button_states"]
        qpos[5:16, 14:17] = goal["block_xyzs"][0]
        qpos[5:12, 23] = goal["drawer_pos"] - 0.039
        qpos[5:9, 24] = goal["window_pos"] + 0.039
        qpos[9:12, 24] = goal["window_pos"] + 0.041
    else:
        arrays["button_states"][5:20] = task_info["goal_button_states"]
        arrays["button_states"][12:20, 0] ^= 1
    return arrays


@pytest.mark.parametrize("family", TASKS)
def test_relabelled_rewards_are_those_of_the_simulator(family, episodes, tmp_path):
    """Put into each recorded state, the simulator gives the same reward and the same success."""
    task = find_task(TASKS[family])
    simulator = simulator_of(task.environment)
    reset_simulator(simulator, 0)
    arrays = with_goals(family, episodes[family], simulator.cur_task_info)
    dataset = load_dataset(task, write(tmp_path / "data.npz", arrays))
    rewards, masks = [], []
    for row, (qpos, qvel) in enumerate(zip(arrays["qpos"], arrays["qvel"], strict=True)):
        buttons = (arrays["button_states"][row],) if "button_states" in arrays else ()
        simulator.set_state(qpos.astype(np.float64), qvel.astype(np.float64), *buttons)
        simulator.pre_step()
        simulator.post_step()
        rewards.append(simulator.compute_reward())
        masks.append(float(not simulator._success))
    np.testing.assert_array_equal(dataset.rows.rewards, rewards)
    np.testing.assert_array_equal(dataset.rows.masks, masks)
    assert 0 in masks
    assert len(set(rewards)) > 2


def test_cube_rewards_from_their_definition(episodes, tmp_path):
    """Minus the number of cubes further than 4 cm from their place; mask 0 with all there."""
    simulator = simulator_of(CUBE.environment)
    reset_simulator(simulator, 0)
    goals = simulator.cur_task_info["goal_xyzs"]
    arrays = with_goals("cube-double", episodes["cube-double"], simulator.cur_task_info)
    dataset = load_dataset(CUBE, write(tmp_path / "data.npz", arrays))
    for row, qpos in enumerate(arrays["qpos"]):
        away = [np.linalg.norm(qpos[14 + 7 * i : 17 + 7 * i] - goals[i]) > 0.04 for i in range(2)]
        assert dataset.rows.rewards[row] == -sum(away)
        assert dataset.rows.masks[row] == (1 if any(away) else 0)


def test_what_is_read_is_what_was_written(episodes, tmp_path):
    arrays = dict(episodes["cube-double"])
    arrays["actions"] = arrays["actions"] * 1.5  # beyond the range
    arrays["observations"] = arrays["observations"].astype(np.float64)
    dataset = load_dataset(CUBE, write(tmp_path / "data.npz", arrays))
    assert len(dataset) == 48
    assert dataset.episodes == 2
    np.testing.assert_array_equal(
        dataset.rows.observations, episodes["cube-double"]["observations"]
    )
    np.testing.assert_array_equal(dataset.rows.actions, np.clip(arrays["actions"], -1, 1))
    np.testing.assert_array_equal(np.flatnonzero(dataset.rows.last), [24, 49])


# Files that do not fit


def changed(arrays: dict, **changes) -> dict:
    merged = {**arrays, **changes}
    return {name: array for name, array in merged.items() if array is not None}


def test_files_of_another_scene(episodes, tmp_path):
    cubes = episodes["cube-double"]
    path = write(tmp_path / "data.npz", cubes)
    for name in ("cube-triple", "scene", "cube-single"):
        task = find_task(f"{name}-play-singletask-task1-v0")
        refused("data of another scene|has no button_states", load_dataset, task, path)
    labelled = write(tmp_path / "labelled.npz", cubes, origin="collected", scene="cube-triple")
    refused("was collected in cube-triple, not in cube-double", load_dataset, CUBE, labelled)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"qpos": None, "actions": None}, "it has no actions, qpos"),
        ({"observations": np.array(1.0, np.float32)}, "observations has shape"),
        ({"actions": np.zeros((50, 4), np.float32)}, r"actions has shape \(50, 4\)"),
        ({"terminals": np.zeros(49, bool)}, "terminals has shape"),
        ({"observations": np.full((50, 37), "a")}, "not numbers"),
        ({"terminals": np.zeros(50, bool)}, "does not end at an episode's end"),
    ],
)
def test_foreign_or_cut_arrays(episodes, tmp_path, change, match):
    path = write(tmp_path / "data.npz", changed(episodes["cube-double"], **change))
    assert str(path) in refused(match, load_dataset, CUBE, path)


@pytest.mark.parametrize("name", ["observations", "actions", "qpos"])
def test_a_nan_is_refused(episodes, tmp_path, name):
    array = episodes["cube-double"][name].copy()
    array[3, 1] = np.nan
    path = write(tmp_path / "data.npz", changed(episodes["cube-double"], **{name: array}))
    assert str(path) in refused(f"{name} hold NaN", load_dataset, CUBE, path)


def test_a_truncated_file(episodes, tmp_path):
    path = write(tmp_path / "data.npz", episodes["cube-double"])
    os.truncate(path, path.stat().st_size // 2)
    for read in (describe, summarise, lambda p: load_dataset(CUBE, p)):
        refused("truncated", read, path)


def test_metadata_of_another_program(episodes, tmp_path):
    for stored in ("[1, 2]", "no json", "3"):
        arrays = {"metadata": np.array(stored), **episodes["cube-double"]}
        path = write(tmp_path / "data.npz", arrays)
        refused("metadata are not of this program", describe, path)


# Summaries


def test_description_and_identity(episodes, tmp_path, monkeypatch):
    path = write(tmp_path / "data.npz", episodes["cube-double"])
    told = describe(path)
    assert told == {"origin": "unknown", "path": str(path), "crc32": told["crc32"]}
    assert re.fullmatch("[0-9a-f]{8}", told["crc32"])
    monkeypatch.setattr(
        dataset_module, "PUBLISHED_FOLDER", tmp_path
    )  # what lies there was published
    copy = describe(write(tmp_path / "copy.npz", episodes["cube-double"]))
    assert copy["origin"] == "published"
    assert copy["crc32"] == told["crc32"]
    other = changed(episodes["cube-double"], qvel=episodes["cube-double"]["qvel"] + 1)
    assert describe(write(tmp_path / "other.npz", other))["crc32"] != told["crc32"]


def test_summary(episodes, tmp_path):
    arrays = dict(episodes["cube-double"])
    arrays["terminals"] = np.isin(np.arange(50), [9, 10, 39])
    arrays["actions"] = np.full((50, 5), 0.25, np.float32)
    arrays["actions"][3, 2] = -0.5
    arrays["qvel"] = arrays["qvel"].copy()
    arrays["qvel"][:2, 0] = np.inf
    path = write(tmp_path / "data.npz", arrays, origin="collected")
    found = summarise(path)
    assert found.rows == 50
    assert found.lengths.tolist() == [9, 0, 28, 9]
    assert not found.complete
    assert found.action_range == (-0.5, 0.25)
    assert found.not_finite == {"qvel": 2}
    assert found.size == path.stat().st_size
    assert found.arrays["actions"] == "float32 [50, 5]"
    assert found.description["origin"] == "collected"
    whole = summarise(write(tmp_path / "whole.npz", episodes["cube-double"]))
    assert whole.lengths.tolist() == [24, 24]
    assert whole.complete


def test_rewards_of_a_file(episodes, tmp_path):
    """Final observations do not count: nothing follows them."""
    simulator = simulator_of(CUBE.environment)
    reset_simulator(simulator, 0)
    arrays = with_goals("cube-double", episodes["cube-double"], simulator.cur_task_info)
    arrays["qpos"][49] = arrays["qpos"][10]  # at the goal, at the very end
    path = write(tmp_path / "data.npz", arrays)
    dataset = load_dataset(CUBE, path)
    found = rewards_in(dataset)
    first, second = dataset.rows.rewards[:24], dataset.rows.rewards[25:49]
    assert (dataset.rows.masks == 0).sum() == found.at_goal + 1
    assert found.at_goal == 12 + 4
    assert found.episodes_with_goal == 2
    assert (found.least, found.greatest) == (-2, 0)
    assert found.mean_return == pytest.approx((first.sum() + second.sum()) / 2)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"terminals": None}, "it has no terminals"),
        ({"qpos": np.zeros((49, 28), np.float32)}, "differ in rows .*qpos 49"),
        ({"actions": np.full((50, 5), "a")}, "actions are not numbers"),
    ],
)
def test_no_summary_of_foreign_files(episodes, tmp_path, change, match):
    path = write(tmp_path / "data.npz", changed(episodes["cube-double"], **change))
    refused(match, summarise, path)
