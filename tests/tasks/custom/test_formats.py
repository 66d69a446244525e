"""Every format of one's own data is read to the same episodes, or refused in one line."""

import json
import shutil
import sys

import numpy as np
import pytest

from driftpolicy.data.files import write_npz
from driftpolicy.errors import UserError
from driftpolicy.tasks.custom import plain
from driftpolicy.tasks.custom.dataset import describe
from driftpolicy.tasks.custom.formats import find_source, format_of
from driftpolicy.tasks.custom.lerobot import LeRobotFormat
from driftpolicy.tasks.custom.minari import MinariFormat
from driftpolicy.tasks.custom.plain import PlainFormat
from driftpolicy.tasks.custom.recording import Recording

from .recordings import demonstrate, need, write_hdf5, write_lerobot, write_minari

EPISODES = demonstrate()
PLAIN, LEROBOT, MINARI = PlainFormat(), LeRobotFormat(), MinariFormat()


def line(call, *arguments) -> str:
    with pytest.raises(UserError) as error:
        call(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


def assert_holds(recording: Recording, *, frames: bool = False, success: bool = True) -> None:
    """The recording is EPISODES; ``frames``: their last observations were not stored."""
    assert len(recording.trajectories) == len(EPISODES)
    for read, episode in zip(recording.trajectories, EPISODES, strict=True):
        seen = np.float32(episode["observations"])
        if frames:
            seen[-1] = seen[-2]
        np.testing.assert_array_equal(read.observations, seen)
        np.testing.assert_array_equal(read.actions, episode["actions"])
        np.testing.assert_array_equal(read.rewards, np.float32(episode["rewards"]))
        if success:
            np.testing.assert_array_equal(read.success, episode["success"])
        else:
            assert read.success is None


# Plain


def test_plain_npz_and_hdf5(tmp_path):
    plain.write(tmp_path / "a.npz", EPISODES, control_rate=10.0)
    arrays = {f"episode_{i}/{n}": v for i, e in enumerate(EPISODES) for n, v in e.items()}
    np.savez_compressed(
        tmp_path / "b.npz", **dict(reversed(arrays.items())), note="x", **{"episode_1/camera": 1}
    )
    write_hdf5(tmp_path / "c.hdf5", [*EPISODES], rate=10)
    for name, rate in (("a.npz", 10.0), ("b.npz", None), ("c.hdf5", 10.0)):
        path = tmp_path / name
        assert isinstance(format_of(path), PlainFormat)
        recording = PLAIN.read(path)
        assert_holds(recording)
        assert recording.control_rate == rate
        assert recording.ignored == (("camera", "note") if name == "b.npz" else ())
        assert not any(trajectory.terminated for trajectory in recording.trajectories)
    assert describe(path)["origin"] == "plain HDF5"
    assert describe(tmp_path / "a.npz")["crc32"] != describe(tmp_path / "b.npz")["crc32"]


def test_episodes_come_in_the_order_of_their_numbers(tmp_path):
    many = demonstrate(11)
    write_hdf5(tmp_path / "a.h5", many)
    names = [trajectory.name for trajectory in PLAIN.read(tmp_path / "a.h5").trajectories]
    assert names == [f"episode_{i}" for i in range(11)]


def test_a_termination_is_the_last_steps(tmp_path):
    ended = [
        e | {"terminations": np.arange(len(e["actions"])) == len(e["actions"]) - 1}
        for e in EPISODES
    ]
    plain.write(tmp_path / "a.npz", ended)
    assert all(t.terminated for t in PLAIN.read(tmp_path / "a.npz").trajectories)
    ended[2]["terminations"][1] = True
    message = line(plain.write, tmp_path / "b.npz", ended)
    assert "episode_2 goes on after its termination in step 2 of 6" in message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"observations": None}, "episode_1 has no observations"),
        ({"observations": np.zeros((4, 2))}, "has 4 observations and 5 actions; needed are 6"),
        (
            {"observations": np.zeros((6, 3))},
            "episode_1 has observations of 3 numbers, episode_0 of 2",
        ),
        ({"actions": np.zeros(5)}, "actions have shape (5,), not [T, n]"),
        ({"actions": np.zeros((0, 2)), "observations": np.zeros((1, 2))}, "episode_1 has no step"),
        ({"rewards": np.zeros(6)}, "episode_1 has 6 rewards, not 5"),
        ({"rewards": None}, "rewards are stored for some of its episodes only"),
        ({"success": np.full(5, "yes")}, "success are <U3, not numbers"),
        ({"success": np.array([None] * 5)}, "holds arrays of Python objects (episode_1/success)"),
    ],
)
def test_plain_mistakes(tmp_path, change, message):
    changed = {name: value for name, value in (EPISODES[1] | change).items() if value is not None}
    episodes = [EPISODES[0], changed]
    arrays = {f"episode_{i}/{n}": v for i, e in enumerate(episodes) for n, v in e.items()}
    np.savez(tmp_path / "a.npz", **arrays)
    assert message in line(PLAIN.read, tmp_path / "a.npz")


def test_writing_refuses_what_could_not_be_read(tmp_path):
    path = tmp_path / "a.npz"
    assert "unknown reward; known: observations" in line(plain.write, path, [{"reward": [1]}])
    assert "ends in .npz" in line(plain.write, tmp_path / "a.hdf5", EPISODES)
    assert "would hold no episode" in line(plain.write, path, [])
    with pytest.raises(UserError, match="no number above 0"):
        plain.write(path, EPISODES, control_rate=0.0)
    assert list(tmp_path.iterdir()) == []


# LeRobot


@pytest.mark.parametrize("version", ["v2.1", "v3.0"])
def test_lerobot(tmp_path, version):
    """The last steps are successes, after which no observation is needed."""
    folder = write_lerobot(tmp_path / "set", EPISODES, version)
    assert isinstance(format_of(folder), LeRobotFormat)
    recording = LEROBOT.read(folder)
    assert_holds(recording, frames=True)
    assert all(trajectory.terminated for trajectory in recording.trajectories)
    assert recording.kind == f"LeRobotDataset {version}"
    assert recording.control_rate == 10
    assert recording.ignored == ("observation.images.top",)
    before = describe(folder)["crc32"]
    (folder / "videos").mkdir()
    (folder / "videos" / "a.mp4").write_bytes(b"x")
    assert describe(folder)["crc32"] == before


@pytest.mark.parametrize("version", ["v2.1", "v3.0"])
def test_lerobot_without_successes_leaves_the_last_action_out(tmp_path, version):
    """What followed it was not recorded; that a recording is done is no termination."""
    bare = [{n: e[n] for n in ("observations", "actions")} for e in EPISODES]
    recording = LEROBOT.read(write_lerobot(tmp_path, bare, version))
    for read, episode in zip(recording.trajectories, EPISODES, strict=True):
        np.testing.assert_array_equal(read.observations, np.float32(episode["observations"][:-1]))
        np.testing.assert_array_equal(read.actions, episode["actions"][:-1])
        assert (read.rewards, read.terminated, read.success) == (None, False, None)


@pytest.mark.parametrize("version", ["v2.1", "v3.0"])
def test_lerobot_mistakes(tmp_path, version):
    folder = write_lerobot(tmp_path / "set", EPISODES, version)
    file = folder / "meta" / "info.json"
    info = json.loads(file.read_text())
    for change, message in (
        ({"codebase_version": "v1.6"}, "is a LeRobotDataset v1.6; read are v2.0, v2.1, v3.0"),
        ({"features": {"action": {}}}, "has no observation.state; it has: action"),
        ({"data_path": None}, "damaged or of an unknown version"),
        ({"data_path": "data/{nothing}"}, "its index of episodes is missing or damaged"),
        ({"data_path": "data/none.parquet"}, "none.parquet is missing, damaged"),
    ):
        file.write_text(json.dumps(info | change))
        assert message in line(LEROBOT.read, folder)
    file.write_text(json.dumps(info))
    if version == "v2.1":
        index = folder / "meta" / "episodes.jsonl"
        index.write_text(index.read_text().replace('"length": 5', '"length": 7'))
        assert "has 5 frames of episode 1, the index says 7" in line(LEROBOT.read, folder)
    shutil.rmtree(folder / "data")
    assert "missing, damaged" in line(LEROBOT.read, folder)


# Minari


@pytest.mark.parametrize("form", ["hdf5", "arrow"])
def test_minari(tmp_path, monkeypatch, form):
    ended = [e | {"terminations": np.eye(len(e["actions"]))[-1] > 0} for e in EPISODES]
    # Minari 0.5.4 does not read back what it stores of infos in Arrow's format.
    folder = write_minari(tmp_path, ended, "point/home-v0", form, infos=form == "hdf5")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    assert find_source("point/home-v0") == folder
    assert isinstance(format_of(folder), MinariFormat)
    recording = MINARI.read(folder)
    assert_holds(recording, success=form == "hdf5")
    assert all(trajectory.terminated for trajectory in recording.trajectories)
    assert recording.kind == "Minari dataset point/home-v0"
    assert recording.ignored == (("infos/x",) if form == "hdf5" else ())
    if form == "hdf5":  # which is the plain layout too, but for its infos
        assert_holds(PLAIN.read(folder / "data" / "main_data.hdf5"), success=False)


def test_minari_mistakes(tmp_path, monkeypatch):
    folder = write_minari(tmp_path, EPISODES, "home-v0", "hdf5")
    (folder / "data" / "main_data.hdf5").write_bytes(b"damaged")
    assert "not an HDF5 file" in line(MINARI.read, folder)
    (folder / "data" / "metadata.json").write_text("{")
    assert "metadata.json is damaged" in line(describe, folder)
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    assert "does not exist, neither here nor among" in line(find_source, "home-v1")


# All of them


@pytest.mark.parametrize("name", ["", "a.hdf5", "b.npz"])
def test_what_is_no_data_is_said(tmp_path, name):
    if name == "a.hdf5":
        need("h5py", "hdf5")  # without it, that is what is said: the next test
    (tmp_path / "a.hdf5").write_bytes(b"nothing")
    write_npz(tmp_path / "b.npz", {"images": np.zeros(3)})
    message = "a.hdf5 is truncated, damaged" if name == "a.hdf5" else "is no data that can be read"
    assert message in line(format_of, tmp_path / name)


@pytest.mark.parametrize(
    ("package", "extra"), [("h5py", "hdf5"), ("pyarrow", "lerobot"), ("minari", "minari")]
)
def test_a_missing_package_names_its_extra(tmp_path, monkeypatch, package, extra):
    folder = write_lerobot(tmp_path / "set", EPISODES, "v3.0")
    held = write_minari(tmp_path, EPISODES, "home-v0", "hdf5")
    read = {"h5py": (PLAIN, write_hdf5(tmp_path / "a.hdf5", EPISODES))}
    read |= {"pyarrow": (LEROBOT, folder), "minari": (MINARI, held)}
    form, path = read[package]
    monkeypatch.setitem(sys.modules, package, None)
    assert f"uv sync --extra {extra}" in line(form.read, path)
