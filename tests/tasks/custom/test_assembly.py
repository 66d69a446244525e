"""Episodes that do not fit are named, or left out where that is asked for; columns are chosen."""

import json
from pathlib import Path

import numpy as np
import pytest

from driftpolicy.data import files
from driftpolicy.errors import FieldError, UserError
from driftpolicy.tasks.benchmark import LoadOptions
from driftpolicy.tasks.custom.columns import parse_columns
from driftpolicy.tasks.custom.formats import format_of
from driftpolicy.tasks.custom.recording import Recording
from driftpolicy.tasks.custom.stored import ReadOptions
from driftpolicy.tasks.custom.summary import inspect_recording

from .recordings import demonstrate, need, write_hdf5, write_lerobot, write_minari

EPISODES = demonstrate()
ENDED = [e | {"terminations": np.eye(len(e["actions"]))[-1] > 0} for e in EPISODES]


def write_npz(path: Path, episodes: list[dict[str, np.ndarray]]) -> Path:
    """Without the checks of the package's own writer."""
    np.savez(path, **{f"episode_{i}/{n}": v for i, e in enumerate(episodes) for n, v in e.items()})
    return path


WRITERS = {"a.npz": write_npz, "a.hdf5": write_hdf5}


def read(path: Path, *columns: str, **options) -> Recording:
    chosen = ReadOptions(columns=parse_columns(columns), **options)
    return format_of(path).read(path, chosen)


def refusal(path: Path, *columns: str, **options) -> str:
    with pytest.raises(UserError) as error:
        read(path, *columns, **options)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 2000
    return str(error.value)


def names(recording: Recording) -> list[str]:
    return [one.name for one in recording.trajectories]


@pytest.mark.parametrize("file", WRITERS)
def test_a_part_that_is_misnamed_in_one_episode(tmp_path, file):
    """Read as no termination, values would go past the end of the task."""
    episodes = [dict(episode) for episode in ENDED]
    episodes[3]["termination"] = episodes[3].pop("terminations")
    message = refusal(WRITERS[file](tmp_path / file, episodes))
    assert "terminations are stored for some of its episodes only" in message
    assert "episode_0 has them, episode_3 has not; there too, but not read: termination" in message


def test_a_termination_behind_a_link(tmp_path):
    need("h5py", "hdf5")
    import h5py

    path = write_hdf5(tmp_path / "a.hdf5", ENDED)
    with h5py.File(path, "a") as file:
        file.move("episode_2/terminations", "elsewhere")
        file["episode_2/terminations"] = h5py.SoftLink("/elsewhere")
    assert all(one.terminated for one in read(path).trajectories)
    with h5py.File(path, "a") as file:
        del file["elsewhere"]
    assert "episode_2/terminations is damaged, or a link to something" in refusal(path)


@pytest.mark.parametrize("part", ["success", "terminations"])
@pytest.mark.parametrize("value", [0.3, np.nan, 2, -1])
def test_only_yes_and_no_are_flags(tmp_path, part, value):
    episodes = [dict(episode) for episode in ENDED]
    changed = episodes[1][part].astype(float)
    changed[-1] = value
    episodes[1][part] = changed
    message = refusal(write_npz(tmp_path / "a.npz", episodes))
    assert f"episode_1: {part} is {value:g} in step 5 of 5; only false and true" in message


@pytest.mark.parametrize("version", ["v2.1", "v3.0"])
def test_a_progress_is_no_success_in_lerobot(tmp_path, version):
    episodes = [e | {"success": np.float32(e["success"]) * 0.3} for e in EPISODES]
    assert "success is 0.3 in step" in refusal(write_lerobot(tmp_path / "a", episodes, version))


def broken(what: str) -> dict[str, np.ndarray]:
    episode = dict(EPISODES[4])
    match what:
        case "a row less":
            episode["observations"] = episode["observations"][:-1]
        case "another length":
            episode["rewards"] = episode["rewards"][:-1]
        case "not a number":
            episode["actions"] = episode["actions"] * np.nan
        case "an array less":
            del episode["rewards"]
        case "no actions":
            del episode["actions"]
        case "another width":
            episode["observations"] = episode["observations"][:, :1]
    return episode


REASONS = {
    "a row less": "has 5 observations and 5 actions; needed are 6",
    "another length": "has 4 rewards, not 5",
    "not a number": "actions hold NaN or infinity, first in row 0",
    "an array less": "episode_0 has them, episode_4 has not",
    "no actions": "has no actions",
    "another width": "has observations of 1 numbers, episode_0 of 2",
}


@pytest.mark.parametrize("file", WRITERS)
@pytest.mark.parametrize("what", REASONS)
def test_a_broken_episode_is_named_and_can_be_left_out(tmp_path, file, what):
    episodes = [*EPISODES[:4], broken(what), EPISODES[5]]
    path = WRITERS[file](tmp_path / file, episodes)
    if what != "not a number":  # which the checks refuse, beside what else is wrong
        message = refusal(path)
        assert REASONS[what] in message
        assert "episode_4" in message
        assert "(--skip-broken leaves out what is broken)" in message
    lines: list[str] = []
    recording = read(path, skip_broken=True, warn=lines.append)
    assert names(recording) == [f"episode_{i}" for i in (0, 1, 2, 3, 5)]
    assert recording.left_out == 1
    (line,) = lines
    assert line.startswith("left out: ")
    assert REASONS[what] in line


def test_the_first_episode_may_be_the_broken_one(tmp_path):
    path = write_npz(tmp_path / "a.npz", [broken("another width"), *EPISODES[:4]])
    assert "episode_0 has observations of 1 numbers, episode_1 of 2" in refusal(path)
    assert len(read(path, skip_broken=True, warn=lambda line: None).trajectories) == 4
    path = write_npz(tmp_path / "b.npz", [broken("no actions") | {"actions": np.zeros((9, 2))}])
    assert "holds no good episode; the first: " in refusal(
        path, skip_broken=True, warn=lambda line: None
    )


def test_frames_that_are_missing_in_one_episode_of_lerobot(tmp_path):
    folder = write_lerobot(tmp_path / "a", EPISODES, "v2.1")
    index = folder / "meta" / "episodes.jsonl"
    index.write_text(index.read_text().replace('"length": 6', '"length": 7', 1))
    assert "6 frames of episode 2, the index says 7 (--skip-broken" in refusal(folder)
    assert len(read(folder, skip_broken=True, warn=lambda line: None).trajectories) == 5


def test_huge_numbers_are_only_shown(tmp_path):
    """Their sums and differences are more than float32 holds."""
    episodes = [
        {name: np.full_like(values, 3e38, np.float32) for name, values in e.items()}
        | {"success": e["success"], "observations": 6e38 * (e["observations"] > 0) - 3e38}
        for e in EPISODES
    ]
    path = write_npz(tmp_path / "a.npz", episodes)
    sections = inspect_recording(str(path), None, (), LoadOptions())
    assert "e+39" in sections[1]["returns"]


def test_a_file_of_lerobot_that_is_missing(tmp_path):
    folder = write_lerobot(tmp_path / "a", EPISODES, "v2.1")
    (folder / "data/chunk-000/episode_000003.parquet").unlink()
    assert "episode_000003.parquet is missing" in refusal(folder)
    lines: list[str] = []
    kept = names(read(folder, skip_broken=True, warn=lines.append))
    assert kept == [f"episode {i}" for i in (0, 1, 2, 4, 5)]
    assert "episode_000003.parquet is missing" in lines[0]


# Columns


@pytest.mark.parametrize("file", WRITERS)
def test_columns_are_joined_in_their_order(tmp_path, file):
    episodes = [
        {
            "y": e["observations"][:, 1],
            "x": e["observations"][:, :1],
            "move": e["actions"],
            "won": e["success"],
        }
        for e in EPISODES
    ]
    path = WRITERS[file](tmp_path / file, episodes)
    recording = read(path, "observation=x,y", "action=move", "success=won")
    for one, episode in zip(recording.trajectories, EPISODES, strict=True):
        np.testing.assert_array_equal(one.observations, np.float32(episode["observations"]))
        np.testing.assert_array_equal(one.actions, episode["actions"])
        np.testing.assert_array_equal(one.success, episode["success"])
    assert recording.columns["observations"] == ("x", "y")
    assert recording.ignored == ()
    assert read(path, "observation=y", "action=move").ignored == ("won", "x")
    message = refusal(path, "observation=z", "action=move")
    assert "has no z; it has: move, won, x, y (--columns observation=NAME" in message
    assert "has no actions; it has: move" in refusal(path, "observation=x")


def test_an_environment_state_is_used_when_asked(tmp_path):
    need("pyarrow", "lerobot")
    episodes = [e | {"goal": 2 * e["observations"]} for e in EPISODES]
    folder = write_lerobot(
        tmp_path / "a", episodes, "v3.0", more={"observation.environment_state": "goal"}
    )
    assert read(folder).ignored == ("observation.environment_state", "observation.images.top")
    recording = read(folder, "observation=state,environment_state", "action=action")
    for one, episode in zip(recording.trajectories, EPISODES, strict=True):
        seen = np.float32(episode["observations"])
        np.testing.assert_array_equal(one.observations[:-1], np.hstack([seen, 2 * seen])[:-1])
    assert recording.columns["observations"] == (
        "observation.state",
        "observation.environment_state",
    )
    assert "has no observation.b; it has: action, episode_index" in refusal(folder, "observation=b")


@pytest.mark.parametrize(
    "text", ["state", "seen=a", "observation=", "observation=a,", "reward=a,b", "", "x" * 5000]
)
def test_columns_are_written_in_one_way(text):
    with pytest.raises(FieldError, match="columns must be given as observation=NAME") as error:
        parse_columns((text,))
    assert len(str(error.value)) < 300
    with pytest.raises(FieldError):
        parse_columns(("action=a", "action=b"))
    assert parse_columns(()) == {}


# LeRobot's files as somebody's own scripts leave them


@pytest.mark.parametrize("version", ["v2.1", "v3.0"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"total_episodes": 7}, "says total_episodes 7, the index lists 6"),
        ({"fps": -5}, "its fps is -5, no number above 0"),
        ({"fps": 0}, "its fps is 0, no number above 0"),
        ({"fps": float("nan")}, "its fps is nan, no number above 0"),
        ({"fps": "ten"}, "its fps is ten"),
        ({"fps": True}, "its fps is True"),
        ({"features": []}, "its features or its data_path"),
        ({"codebase_version": ["v3.0"]}, "is a LeRobotDataset ['v3.0']; read are"),
        ({"codebase_version": "x" * 5000}, "is a LeRobotDataset xxx"),
        ({"data_path": "../../elsewhere"}, "its data_path leads nowhere in it"),
        ({"data_path": "/elsewhere"}, "its data_path leads nowhere in it"),
        ({"data_path": "x" * 5000}, "its data_path leads nowhere in it"),
        ({"data_path": "{episode_chunk.real.__class__}{" * 999}, "its index of episodes"),
        ({"features": {"x" * 5000: 0, "action": 0}}, "has no observation.state; it has: action"),
    ],
)
def test_strange_info_is_one_line(tmp_path, version, change, message):
    folder = write_lerobot(tmp_path / "a", EPISODES, version)
    file = folder / "meta" / "info.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    assert message in refusal(folder)


def test_frames_in_another_order_are_refused(tmp_path):
    need("pyarrow", "lerobot")
    import pyarrow.parquet as parquet

    folder = write_lerobot(tmp_path / "a", EPISODES, "v2.1")
    file = folder / "data/chunk-000/episode_000001.parquet"
    table = parquet.read_table(file)
    parquet.write_table(table.take([1, 0, 2, 3, 4]), file)
    assert "the frame_index of episode 1 does not count from 0 to 4" in refusal(folder)


def test_lists_of_several_lengths_are_refused(tmp_path):
    need("pyarrow", "lerobot")
    import pyarrow as pa
    import pyarrow.parquet as parquet

    folder = write_lerobot(tmp_path / "a", EPISODES, "v2.1")
    file = folder / "data/chunk-000/episode_000001.parquet"
    table = parquet.read_table(file)
    place = table.column_names.index("action")
    ragged = pa.array([[0.0], [0.0, 1.0, 2.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0]])
    parquet.write_table(table.set_column(place, "action", ragged), file)
    assert "action has from 1 to 3 numbers in a row" in refusal(folder)


def test_parquet_that_claims_more_than_it_can_hold(tmp_path, monkeypatch):
    folder = write_lerobot(tmp_path / "a", EPISODES, "v2.1")
    monkeypatch.setattr(files, "LARGE", 100)
    monkeypatch.setattr(files, "COMPRESSION", 0)
    assert "bytes of numbers in" in refusal(folder)


# Minari


def test_minari_in_other_files_is_refused(tmp_path):
    """Minari leaves out what is behind a link to a file that is missing."""
    folder = write_minari(tmp_path, EPISODES, "home-v0", "hdf5")
    import h5py

    with h5py.File(folder / "data" / "main_data.hdf5", "a") as file:
        del file["episode_1/rewards"]
        file["episode_1/rewards"] = h5py.ExternalLink("gone.hdf5", "/rewards")
    assert "episode_1/rewards is a link to another file" in refusal(folder)


def test_successes_of_minari_are_one_for_each_step(tmp_path):
    """One more is of the reset; with two more nobody knows which are meant."""
    longer = [e | {"success": np.append(e["success"], True)} for e in EPISODES]
    folder = write_minari(tmp_path, longer, "home-v0", "hdf5")
    assert "has 6 infos/success and 4 steps; needed are 5" in refusal(folder)
