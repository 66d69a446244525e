"""Demonstrations in Robomimic's layouts, written here by hand from its documentation."""

import json

import numpy as np
import pytest

h5py = pytest.importorskip("h5py", reason="needs h5py: uv sync --extra robomimic")

from driftpolicy.errors import UserError
from driftpolicy.tasks.benchmark import LoadOptions
from driftpolicy.tasks.registry import benchmark_of, find_task, find_task_of_dataset
from driftpolicy.tasks.robomimic import dataset as robomimic
from driftpolicy.tasks.robomimic.benchmark import Robomimic
from driftpolicy.tasks.robomimic.demonstrations import DemoFile
from tests.data.serving import download

pytestmark = pytest.mark.usefixtures("without_robosuite")

LIFT = find_task("lift-mh-low_dim")
WIDTHS = {"robot0_eef_pos": 3, "robot0_eef_quat": 4, "robot0_gripper_qpos": 2, "object": 10}
STEPS = {0: 4, 2: 5, 10: 3, 1: 6}


def rows(number, steps):
    """Numbers that say where they are from: demonstration, step, column."""
    return {
        key: 100.0 * number + np.arange(steps + 1)[:, None] + 0.01 * np.arange(width)[None]
        for key, width in WIDTHS.items()
    }


def write(path, *, env_args=None, succeed=(0, 10), masks=True, drop=(), attr="env_args"):
    """The v1.5 layout; the demonstrations of ``succeed`` do so at their last step but one."""
    env_args = env_args or {
        "env_name": "Lift",
        "env_version": "1.5.1",
        "type": 1,
        "env_kwargs": {"robots": ["Panda"]},
    }
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs["total"] = sum(STEPS.values())
        data.attrs[attr] = json.dumps(env_args)
        for number, steps in STEPS.items():
            group = data.create_group(f"demo_{number}")
            group.attrs["num_samples"] = steps
            rewards = np.zeros(steps)
            if number in succeed:
                rewards[-2:] = 1.0
            arrays = {
                "actions": np.full((steps, 7), 0.1 * number),
                "rewards": rewards,
                "dones": rewards.astype(int),
                "states": np.zeros((steps, 32)),
            }
            for key, values in rows(number, steps).items():
                arrays[f"obs/{key}"] = values[:-1]
                arrays[f"next_obs/{key}"] = values[1:]
            for name, array in arrays.items():
                if name not in drop:
                    group.create_dataset(name, data=array)
        if masks:
            file["mask/train"] = np.array(["demo_10", "demo_0"], dtype="S")
            file["mask/better"] = np.array(["demo_1"], dtype="S")
    return path


def test_demonstrations_come_in_numeric_order_with_one_observation_more(tmp_path):
    with DemoFile(write(tmp_path / "a.hdf5")) as file:
        assert file.names == ["demo_0", "demo_1", "demo_2", "demo_10"]
        assert (file.environment, file.version) == ("Lift", "1.5.1")
        demo = file.demo("demo_10")
    # The four keys in the paper's order.
    expected = np.concatenate(list(rows(10, 3).values()), axis=1)
    np.testing.assert_array_equal(demo.observations, expected.astype(np.float32))
    assert demo.observations.shape == (4, 19)
    assert demo.actions.shape == (3, 7)


def test_rewards_and_ends_follow_the_protocol(tmp_path):
    """Success - 1; a demonstration ends at its first success, another one without a terminal."""
    dataset = robomimic.load_dataset(LIFT, write(tmp_path / "a.hdf5"))
    lengths = np.diff(np.flatnonzero(dataset.rows.last), prepend=-1) - 1
    assert lengths.tolist() == [3, 6, 5, 2]  # 0 and 10 lose the step after their success
    assert len(dataset) == 16
    assert dataset.rows.rewards[:3].tolist() == [-1, -1, 0]
    assert dataset.rows.masks[:3].tolist() == [1, 1, 0]
    second = slice(4, 10)
    assert set(dataset.rows.rewards[second]) == {-1.0}
    assert set(dataset.rows.masks[second]) == {1.0}
    assert dataset.rows.observations[3, 0] == 3.0  # what followed the success is seen
    assert dataset.rows.actions[4, 0] == np.float32(0.1)


def test_masks_are_honoured(tmp_path):
    path = write(tmp_path / "a.hdf5")
    train = robomimic.load_dataset(LIFT, path, LoadOptions(mask="train"))
    assert train.episodes == 2
    assert train.rows.observations[[0, 4], 0].tolist() == [0.0, 1000.0]
    with DemoFile(path) as file:
        assert file.masks() == {"better": ["demo_1"], "train": ["demo_0", "demo_10"]}
    with pytest.raises(UserError, match="has no mask 'valid'; it has: better, train"):
        robomimic.load_dataset(LIFT, path, LoadOptions(mask="valid"))
    with h5py.File(path, "a") as file:
        file["mask/none"] = np.array([], dtype="S6")
        file["mask/other"] = np.array(["demo_0", "demo_7"], dtype="S")
    with pytest.raises(UserError, match="its mask 'none' is empty"):
        robomimic.load_dataset(LIFT, path, LoadOptions(mask="none"))
    with pytest.raises(UserError, match="mask 'other' names demo_7, which is not there"):
        robomimic.load_dataset(LIFT, path, LoadOptions(mask="other"))


def test_older_layouts_say_their_environment_otherwise(tmp_path):
    old = {
        "env_name": "Lift",
        "type": 1,
        "env_kwargs": {"controller_configs": {"type": "OSC_POSE"}},
    }
    with DemoFile(write(tmp_path / "a.hdf5", env_args=old, masks=False)) as file:
        assert file.version == "unknown"
        assert file.arguments["controller_configs"]["type"] == "OSC_POSE"
        assert file.masks() == {}
    info = {"env_name": "Lift", "robots": "Panda"}
    with DemoFile(write(tmp_path / "b.hdf5", env_args=info, attr="env_info")) as file:
        assert file.arguments == {"robots": "Panda"}


def test_what_is_wrong_is_named(tmp_path):
    missing = write(tmp_path / "a.hdf5", drop=("obs/object", "states"))
    with pytest.raises(UserError, match="demo_0 lacks states"):
        robomimic.load_dataset(LIFT, missing)
    with pytest.raises(UserError, match="demo_0 lacks actions"):
        robomimic.load_dataset(LIFT, write(tmp_path / "b.hdf5", drop=("actions",)))
    with pytest.raises(
        UserError, match="its environment is Lift, that of can-mh-low_dim is PickPlaceCan"
    ):
        robomimic.load_dataset(find_task("can-mh-low_dim"), write(tmp_path / "c.hdf5"))
    with pytest.raises(UserError, match="no such file"):
        DemoFile(tmp_path / "d.hdf5")
    (tmp_path / "e.hdf5").write_bytes(b"no HDF5")
    with pytest.raises(UserError, match="not an HDF5 file"):
        DemoFile(tmp_path / "e.hdf5")
    with h5py.File(tmp_path / "f.hdf5", "w") as file:
        file.create_group("data")
    with pytest.raises(UserError, match="no demonstrations in Robomimic's layout"):
        DemoFile(tmp_path / "f.hdf5")
    path = write(tmp_path / "g.hdf5")
    with h5py.File(path, "a") as file:
        file["data/demo_2/obs/object"][1, 1] = np.nan
    with pytest.raises(UserError, match="observations hold NaN"):
        robomimic.load_dataset(LIFT, path)
    with h5py.File(path, "a") as file:
        del file["data/demo_2/rewards"]
        file["data/demo_2/rewards"] = np.zeros(3)
    with pytest.raises(UserError, match=r"demo_2 has 5 actions, but 3 rows of rewards \(--skip"):
        robomimic.load_dataset(LIFT, path)


def test_files_are_found_where_robomimic_keeps_them(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert isinstance(benchmark_of(LIFT), Robomimic)
    assert robomimic.find_dataset(LIFT) is None
    collected = tmp_path / "data/lift-mh-low_dim-collected.hdf5"
    collected.parent.mkdir()
    write(collected)
    assert robomimic.find_dataset(LIFT).resolve() == collected
    for name in ("low_dim.hdf5", "low_dim_v141.hdf5", "low_dim_v15.hdf5"):
        path = tmp_path / ".robomimic/lift/mh" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path)
        assert robomimic.find_dataset(LIFT) == path
    with pytest.raises(UserError, match="--data nowhere: no such file"):
        robomimic.find_dataset(LIFT, "nowhere")
    sparse = robomimic.published(find_task("can-mg-low_dim"))
    assert sparse.name == "can/mg/low_dim_sparse_v15.hdf5"
    assert find_task_of_dataset("square").name == "square-mh-low_dim"


def test_a_file_says_who_made_it(tmp_path, monkeypatch):
    path = write(tmp_path / "a.hdf5")
    told = robomimic.describe(path)
    assert told["origin"] == "unknown"
    monkeypatch.setattr(robomimic, "PUBLISHED_FOLDER", tmp_path)
    assert robomimic.describe(path)["origin"] == "published"
    other = robomimic.describe(write(tmp_path / "b.hdf5", succeed=()))
    assert told["crc32"] != other["crc32"]


def test_a_published_file_is_fetched_and_read_before_it_counts(server, tmp_path):
    body = write(tmp_path / "served.hdf5").read_bytes()
    server.body, server.drops = body, [2000, 5000]
    home = tmp_path / "home"
    path = download("lift-mh-low_dim", folder=home, base_url=server.url, pause_s=0.001)
    assert path == home / "lift/mh/low_dim_v15.hdf5"
    assert path.read_bytes() == body
    assert len(server.requests) == 3  # continued where it broke, twice
    assert server.requests[0]["path"] == "/data/lift/mh/low_dim_v15.hdf5"
    server.body = body[: len(body) // 2]
    with pytest.raises(UserError, match="is damaged or not a data file"):
        download("can-ph-low_dim", folder=home, base_url=server.url, pause_s=0.001)
    assert not (home / "can/ph/low_dim_v15.hdf5").exists()
    with pytest.raises(UserError, match=r"dfp data collect lift-mg-low_dim\)"):
        download("lift-mg-low_dim", folder=home, base_url="http://127.0.0.1:1", pause_s=0.001)
