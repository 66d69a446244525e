"""Layouts of other projects: flat steps, replay buffers, demonstrations, dictionaries, objects."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from driftpolicy.errors import UserError
from driftpolicy.tasks.custom.columns import parse_columns
from driftpolicy.tasks.custom.formats import format_of
from driftpolicy.tasks.custom.recording import Recording
from driftpolicy.tasks.custom.stored import ReadOptions
from driftpolicy.tasks.registry import benchmark_of_data

from .recordings import demonstrate, need, write_minari

EPISODES = demonstrate()
Arrays = dict[str, np.ndarray]


def write(path: Path, arrays: Arrays) -> Path:
    if path.suffix == ".npz":
        np.savez(path, **arrays)
        return path
    if path.suffix == ".zarr":
        return write_zarr(path, arrays)
    need("h5py", "hdf5")
    import h5py

    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file[name] = values
    return path


def write_zarr(path: Path, arrays: Arrays) -> Path:
    """In chunks of ten rows, compressed by Blosc as Diffusion Policy does."""
    need("zarr", "zarr")
    import zarr
    from numcodecs import Blosc

    group = zarr.open_group(str(path), mode="w", zarr_format=2)
    for name, values in arrays.items():
        array = group.create_array(
            name,
            shape=values.shape,
            chunks=(10, *values.shape[1:]),
            dtype=values.dtype,
            compressors=Blosc(cname="zstd"),
            config={"write_empty_chunks": True},
        )
        array[...] = values
    return path


def read(path: Path, *columns: str) -> Recording:
    return format_of(path).read(path, ReadOptions(columns=parse_columns(columns)))


def refusal(path: Path, *columns: str) -> str:
    with pytest.raises(UserError) as error:
        read(path, *columns)
    assert "\n" not in str(error.value)
    return str(error.value)


def join(part: str, rows: slice = slice(None)) -> np.ndarray:
    return np.concatenate([episode[part][rows] for episode in EPISODES])


def is_last() -> np.ndarray:
    return np.concatenate([np.eye(len(e["actions"]))[-1] > 0 for e in EPISODES])


# D4RL


def flat(**changes: np.ndarray | None) -> Arrays:
    """Every second episode ends with the task, the others with the time."""
    arrays = {
        "observations": join("observations", slice(-1)),
        "next_observations": join("observations", slice(1, None)),
        "actions": join("actions"),
        "rewards": join("rewards"),
        "infos/qpos": join("actions"),
    }
    ends = np.cumsum([len(e["actions"]) for e in EPISODES]) - 1
    for name, chosen in (("terminals", ends[::2]), ("timeouts", ends[1::2])):
        arrays[name] = np.isin(np.arange(len(arrays["actions"])), chosen)
    return {name: value for name, value in (arrays | changes).items() if value is not None}


@pytest.mark.parametrize("file", ["a.npz", "a.hdf5"])
def test_flat_arrays(tmp_path, file):
    path = write(tmp_path / file, flat())
    recording = read(path)
    for number, (one, episode) in enumerate(zip(recording.trajectories, EPISODES, strict=True)):
        np.testing.assert_array_equal(one.observations, np.float32(episode["observations"]))
        np.testing.assert_array_equal(one.actions, episode["actions"])
        np.testing.assert_array_equal(one.rewards, np.float32(episode["rewards"]))
        assert one.terminated == (number % 2 == 0)
    assert recording.ignored == ("infos/qpos",)
    assert "(D4RL's layout)" in recording.kind
    assert benchmark_of_data(path).name == "gymnasium"


def test_flat_arrays_without_what_followed(tmp_path):
    """The step at a time limit is left out; after the end of the task nothing is learned."""
    recording = read(write(tmp_path / "a.npz", flat(next_observations=None)))
    for number, (one, episode) in enumerate(zip(recording.trajectories, EPISODES, strict=True)):
        steps = len(episode["actions"]) - number % 2
        np.testing.assert_array_equal(one.actions, episode["actions"][:steps])
        assert one.terminated == (number % 2 == 0)
        np.testing.assert_array_equal(
            one.observations[:steps], np.float32(episode["observations"][:steps])
        )


def test_a_success_at_the_time_limit_is_no_end_of_the_task(tmp_path):
    """Value follows it, so without what followed the step is left out, unless success is an end."""
    path = write(tmp_path / "a.npz", flat(next_observations=None, success=is_last()))
    for ends_at_success in (False, True):
        options = ReadOptions(ends_at_success=ends_at_success)
        trajectories = format_of(path).read(path, options).trajectories
        for number, (one, episode) in enumerate(zip(trajectories, EPISODES, strict=True)):
            ends = ends_at_success or number % 2 == 0
            assert one.terminated == ends
            assert len(one.actions) == len(episode["actions"]) - (not ends)


def test_flat_arrays_that_are_cut_off(tmp_path):
    arrays = {name: values[:7] for name, values in flat().items()}
    last = read(write(tmp_path / "a.npz", arrays)).trajectories[-1]
    assert (len(last.actions), last.terminated) == (3, False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"timeouts": None}, "without timeouts, so that nobody knows where episodes end"),
        ({"timeouts": np.zeros(30, bool)}, "step 9 does not begin with the next_observations of"),
        ({"timeouts": np.full(30, np.nan)}, "timeouts is nan in step 1 of 30"),
        ({"timeouts": np.zeros(29, bool)}, "but not as many rows in timeouts (29,)"),
        (
            {"actions": np.zeros((29, 2))},
            "30 observations, but not as many rows in actions (29, 2)",
        ),
        ({"terminals": np.full(30, 0.5)}, "terminals is 0.5 in step 1 of 30"),
        ({"terminals": np.full(30, "yes")}, "terminals are <U3, not numbers"),
        ({"observations": None, "observations/x": np.zeros(30)}, "observations is no array of a"),
        ({"next_observations": np.zeros((30, 3))}, "next_observations (30, 3)"),
    ],
)
def test_flat_mistakes(tmp_path, change, message):
    assert message in refusal(write(tmp_path / "a.npz", flat(**change)))


# Replay buffers


def buffer(**changes: np.ndarray | None) -> Arrays:
    arrays = {
        "data/state": join("observations", slice(-1)),
        "data/action": join("actions"),
        "data/img": np.zeros((30, 4, 4, 3), np.uint8),
        "meta/episode_ends": np.cumsum([len(e["actions"]) for e in EPISODES]),
    }
    changed = arrays | {name.replace("__", "/"): value for name, value in changes.items()}
    return {name: value for name, value in changed.items() if value is not None}


def assert_frames(recording: Recording) -> None:
    for one, episode in zip(recording.trajectories, EPISODES, strict=True):
        np.testing.assert_array_equal(one.observations, np.float32(episode["observations"][:-1]))
        np.testing.assert_array_equal(one.actions, episode["actions"][:-1])
        assert not one.terminated


@pytest.mark.parametrize("file", ["a.npz", "a.hdf5", "a.zarr"])
def test_replay_buffers(tmp_path, file):
    recording = read(write(tmp_path / file, buffer()))
    assert_frames(recording)
    assert recording.ignored == ("img",)
    assert recording.columns["observations"] == ("state",)
    path = write(tmp_path / file, buffer(data__obs=join("observations", slice(-1))))
    assert "no column for the observation; it has: action, img, obs, state" in refusal(path)
    assert_frames(read(path, "observation=obs"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"meta__episode_ends": None, "meta__x": np.zeros(1)}, "but no meta/episode_ends"),
        ({"meta__episode_ends": np.array([4, 4, 30])}, "are no numbers of steps, each above"),
        ({"meta__episode_ends": np.array([])}, "are no numbers of steps"),
        ({"meta__episode_ends": np.array([4, 31])}, "but the last of meta/episode_ends is 31"),
        ({"data__action": np.zeros((29, 2))}, "data/action has shape (29, 2), but the last of"),
        ({"data__action": None}, "has no action; it has: img, state"),
    ],
)
def test_replay_buffer_mistakes(tmp_path, change, message):
    assert message in refusal(write(tmp_path / "a.npz", buffer(**change)))


def test_zarr_mistakes(tmp_path, monkeypatch):
    path = write(tmp_path / "a.zarr", buffer())
    head = path / "data/action/.zarray"
    stored = head.read_text()
    (path / "data/action/1.0").rename(path / "data/kept")
    assert "1 of 3 chunks of data/action are not there, and would be read as zeros" in refusal(path)
    (path / "data/kept").rename(path / "data/action/1.0")
    for change, message in (
        ({"compressor": {"id": "pickle"}}, "data/action is encoded by pickle: not read here"),
        ({"filters": [{"id": "json2"}]}, "data/action is encoded by json2"),
        ({"shape": [30, -1]}, "is damaged: the shape [30, -1]"),
        ({"shape": [30, 10**12]}, "bytes, which cannot be"),
        ({"dtype": ["no"]}, "data/action is damaged"),
    ):
        head.write_text(json.dumps(json.loads(stored) | change))
        assert message in refusal(path)
    head.write_text(stored)
    assert_frames(read(path))
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "zarr", None)
        assert "zarr folders need zarr: uv sync --extra zarr" in refusal(path)
    (path / "data/action/0.0").write_bytes(b"damaged")
    assert "data/action is damaged" in refusal(path)
    (path / "zarr.json").write_text("{}")
    assert "is zarr of format 3" in refusal(path)


# Robomimic's layout of an environment of the user's own


def demonstrations(*, following: bool = True) -> Arrays:
    arrays: Arrays = {"mask/train": np.array([b"demo_0"])}
    for number, episode in enumerate(EPISODES):
        head, seen = f"data/demo_{number + 7}", episode["observations"]
        arrays[f"{head}/actions"] = episode["actions"]
        arrays[f"{head}/rewards"] = episode["rewards"]
        arrays[f"{head}/dones"] = np.eye(len(seen) - 1)[-1]
        arrays[f"{head}/obs/b"] = seen[:-1, 1]
        arrays[f"{head}/obs/a"] = seen[:-1, :1]
        arrays[f"{head}/obs/image"] = np.zeros((len(seen) - 1, 4, 4, 3), np.uint8)
        if following:
            arrays[f"{head}/next_obs/b"] = seen[1:, 1]
            arrays[f"{head}/next_obs/a"] = seen[1:, :1]
    return arrays


def test_demonstrations_of_another_environment(tmp_path):
    path = write(tmp_path / "a.hdf5", demonstrations())
    recording = read(path)
    for one, episode in zip(recording.trajectories, EPISODES, strict=True):
        np.testing.assert_array_equal(one.observations, np.float32(episode["observations"]))
        np.testing.assert_array_equal(one.actions, episode["actions"])
        assert not one.terminated
    assert [one.name for one in recording.trajectories][3:5] == ["demo_10", "demo_11"]
    assert recording.columns["observations"] == ("obs/a", "obs/b")
    assert recording.ignored == ("dones", "mask/train", "obs/image")
    swapped = read(path, "observation=b,a", "termination=dones")
    assert swapped.trajectories[0].observations[0].tolist() == pytest.approx(
        EPISODES[0]["observations"][0][::-1].tolist()
    )
    assert all(one.terminated for one in swapped.trajectories)
    assert "obs/image has shape (4, 4, 4, 3)" in refusal(path, "observation=image,a")
    assert benchmark_of_data(path).name == "robomimic"


def test_demonstrations_without_what_followed(tmp_path):
    assert_frames(read(write(tmp_path / "a.hdf5", demonstrations(following=False))))
    arrays = demonstrations() | {f"data/demo_7/next_obs/{part}": np.zeros(0) for part in "ab"}
    message = refusal(write(tmp_path / "c.hdf5", arrays))
    assert "next_obs/a, next_obs/b have shape (0, 2), the observations (4, 2)" in message
    path = write(tmp_path / "b.hdf5", {"data/x": np.zeros(3)})
    assert "no data/demo_0/actions, so no demonstration" in refusal(path)


# Arrays of objects


def test_arrays_of_objects_are_converted_by_what_the_refusal_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    several = {part: np.empty(6, object) for part in ("observations", "actions")}
    for part, values in several.items():
        values[:] = [episode[part] for episode in EPISODES]
    one = {
        f"episode_{i}/{part}": episode[part].astype(object)
        for i, episode in enumerate(EPISODES)
        for part in several
    }
    for arrays in (several, one):
        np.savez("objects.npz", **arrays)
        message = refusal(Path("objects.npz"))
        assert "arrays of Python objects" in message
        assert "get it again" not in message
        exec(message.partition("If you trust its maker: ")[2], {"np": np})
        for read_back, episode in zip(
            read(Path("converted.npz")).trajectories, EPISODES, strict=True
        ):
            np.testing.assert_array_equal(
                read_back.observations, np.float32(episode["observations"])
            )
            np.testing.assert_array_equal(read_back.actions, episode["actions"])


# Dictionaries


def test_dictionaries_of_minari_are_flattened_as_gymnasium_does(tmp_path):
    need("minari", "minari")
    import gymnasium

    box = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float64)
    inner = gymnasium.spaces.Dict({"z": box, "b": box})
    space = gymnasium.spaces.Dict({"observation": box, "achieved_goal": inner})
    seen = [
        [
            {"observation": row, "achieved_goal": {"z": 2 * row, "b": 3 * row}}
            for row in episode["observations"]
        ]
        for episode in EPISODES
    ]
    changed = [e | {"observations": rows} for e, rows in zip(EPISODES, seen, strict=True)]
    recording = read(write_minari(tmp_path, changed, "home-v0", "hdf5", space=space))
    for one, rows in zip(recording.trajectories, seen, strict=True):
        expected = [gymnasium.spaces.flatten(space, row) for row in rows]
        np.testing.assert_array_equal(one.observations, np.float32(expected))
    assert recording.columns["observations"] == (
        "observations/achieved_goal/b",
        "observations/achieved_goal/z",
        "observations/observation",
    )
    part = read(tmp_path / "home-v0", "observation=observation").trajectories[0]
    np.testing.assert_array_equal(part.observations, np.float32(EPISODES[0]["observations"]))
