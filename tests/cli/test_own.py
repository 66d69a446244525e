"""``dfp train --env``, ``dfp eval`` and ``dfp data inspect`` on data of one's own."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from imageio_ffmpeg import get_ffmpeg_exe

from driftpolicy.cli import main
from driftpolicy.runs.run import load_run
from driftpolicy.tasks.custom import plain
from driftpolicy.training.captions import HEIGHT
from tests.tasks.custom import own
from tests.tasks.custom.recordings import demonstrate, write_lerobot, write_minari

ENV = f"{Path(own.__file__)}:make"
SETTINGS = [
    *("--offline-steps", "10", "--online-steps", "10", "--warmup-steps", "2", "--seed", "3"),
    # The networks and the data of tests/training/test_own.py, which need not be compiled again.
    *("--batch-size", "16", "--replay-capacity", "64", "--eval-every", "10", "--log-every", "5"),
    *("--eval-episodes", "2", "--processes", "1", "--actor-hidden", "16", "--critic-hidden", "16"),
    *("--generated", "2", "--candidates", "4", "--positives", "2", "--best-of", "2"),
    *("--chunk-length", "3", "--no-overlap"),
]


@pytest.fixture(autouse=True)
def _wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")


@pytest.fixture
def file(tmp_path) -> Path:
    """With a rate that is not the environment's."""
    plain.write(tmp_path / "point.npz", demonstrate(), control_rate=20.0)
    return tmp_path / "point.npz"


def fails(capsys, *arguments: object) -> str:
    assert main([str(argument) for argument in arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("dfp: ")
    assert err.count("\n") == 1
    return err


@pytest.mark.slow
def test_train_and_evaluate(file, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train = ["train", "--env", ENV, "--data", file, *SETTINGS, "--reward", "success"]
    assert main([str(word) for word in train]) == 0
    out = capsys.readouterr().out
    assert "(plain npz; 6 episodes, 18 transitions)" in out
    warning = "Warning: recorded at 20 Hz, but the environment runs at 10 Hz"
    assert 0 < out.index(warning) < out.index("seed 3\n")
    (run,) = (tmp_path / "runs").glob("*own.py-make/dfp/seed3")
    for name in ("eval.csv", "train.csv", "curves.png", "rollout.mp4", "summary.json"):
        assert (run / name).stat().st_size > 0
    assert main(["eval", str(run), "--episodes", "2", "--video", "film.mp4"]) == 0
    out = capsys.readouterr().out
    assert f"dfp on gymnasium:{ENV}, checkpoint of step 20" in out
    assert "over 2 episodes" in out
    about = subprocess.run([get_ffmpeg_exe(), "-i", "film.mp4"], capture_output=True, text=True)
    assert f"48x{32 + HEIGHT}" in about.stderr  # whole blocks, beneath the caption
    assert " 10 fps" in about.stderr  # real time
    assert main(["resume", str(run)]) == 0
    assert "is finished" in " ".join(capsys.readouterr().out.split())


def test_training_mistakes(file, tmp_path, capsys):
    train = ("train", "--runs", tmp_path / "runs", *SETTINGS)
    cube = "cube-single-play-singletask-task1-v0"
    assert "name a task or --env, not both" in fails(capsys, *train, cube, "--env", ENV)
    assert "--reward must be own without an environment of your own, not success" in fails(
        capsys, *train, cube, "--reward", "success"
    )
    ours = (*train, "--env", ENV)
    assert "name the data recorded for" in fails(capsys, *ours)
    assert "--data gone.npz does not exist" in fails(capsys, *ours, "--data", "gone.npz")
    assert "is no data that can be read here" in fails(capsys, *ours, "--data", tmp_path)
    assert "no such file" in fails(capsys, *train, "--env", "gone.py:make", "--data", file)
    assert "the environment of 10" in fails(
        capsys, *train, "--env", "Reacher-v5", "--success-return", "-5", "--data", file
    )
    long = (*ours, "--data", file, "--chunk-length", "7")
    assert main([str(word) for word in long]) == 2
    message = "shorter than a chunk of 7 steps: 6 of 6 episodes; nothing can be imitated"
    assert message in capsys.readouterr().err


def test_inspect_each_format(file, tmp_path, capsys, monkeypatch):
    episodes = demonstrate()
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    write_minari(tmp_path / "minari", episodes, "point/home-v0", "hdf5")
    sources = {
        str(file): ("plain npz", "20 Hz", "0 of 6 episodes; others"),
        "point/home-v0": (
            "Minari dataset point/home-v0",
            "not recorded",
            "0 of 6 episodes; others",
        ),
        str(write_lerobot(tmp_path / "set", episodes, "v2.1")): (
            *("LeRobotDataset v2.1", "10 Hz", "6 of 6 episodes; others"),
        ),
    }
    for source, expected in sources.items():
        assert main(["data", "inspect", source, "--env", ENV]) == 0
        out = capsys.readouterr().out
        for text in (*expected, "6, 30 steps", "4 to 6 (median 5) steps", "6 episodes"):
            assert text in out, (source, text)
        assert ("recorded at 20 Hz" in out) == (source == str(file))
        assert "shorter than a chunk of 5 steps: 2 of 6 episodes" in out
        low, high = (np.min([f(e["actions"][:, 1]) for e in episodes]) for f in (np.min, np.max))
        assert f"1: {low:.4g} to " in out
        assert high > low


def test_inspect_says_what_recordings_without_rewards_need(tmp_path, capsys):
    bare = [{name: e[name] for name in ("observations", "actions")} for e in demonstrate()]
    plain.write(tmp_path / "a.npz", bare)
    assert main(["data", "inspect", str(tmp_path / "a.npz")]) == 0
    assert "--reward success" in capsys.readouterr().out


def test_inspect_shows_what_would_be_refused(tmp_path, capsys):
    episodes = demonstrate()
    episodes[2]["actions"][1, 0] = np.inf
    plain.write(tmp_path / "a.npz", episodes)
    assert main(["data", "inspect", str(tmp_path / "a.npz")]) == 1
    assert "refused: episode_2: actions hold NaN or infinity" in capsys.readouterr().out
    message = fails(capsys, "data", "inspect", tmp_path / "a.npz", "--task", "lift-mh-low_dim")
    assert "--env takes data of your own" in message


@pytest.fixture
def renamed(tmp_path) -> Path:
    """With other names, and one episode that lacks its last observation."""
    arrays = {}
    for number, episode in enumerate(demonstrate()):
        seen = episode["observations"][: -1 if number == 4 else None]
        arrays[f"episode_{number}/x"], arrays[f"episode_{number}/y"] = seen.T
        arrays[f"episode_{number}/moves"] = episode["actions"]
        arrays[f"episode_{number}/success"] = episode["success"]
    np.savez(tmp_path / "other.npz", **arrays)
    return tmp_path / "other.npz"


CHOSEN = ["--columns", "observation=x,y", "action=moves", "--skip-broken"]


def test_inspect_what_is_chosen(file, renamed, capsys):
    assert "it has: moves, success, x, y" in fails(capsys, "data", "inspect", renamed)
    line = fails(capsys, "data", "inspect", renamed, *CHOSEN[:-1])
    assert "episode_4 has 5 observations and 5 actions; needed are 6" in line
    assert "--skip-broken" in line
    assert main(["data", "inspect", str(renamed), "--env", ENV, *CHOSEN]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "left out: " in out
    assert "observations: x, y actions: moves" in out
    assert "--columns must be given as observation=NAME" in fails(
        capsys, "data", "inspect", renamed, "--columns", "x"
    )
    np.savez(file.with_name("play.npz"), observations=np.zeros(3), actions=np.zeros(3))
    assert "--columns is of data of your own" in fails(
        capsys, "data", "inspect", file.with_name("play.npz"), *CHOSEN
    )
    assert "is no name that a file can have" in fails(capsys, "data", "inspect", "x" * 5000)
    cube = "cube-single-play-singletask-task1-v0"
    assert "--columns must be () without an environment of your own" in fails(
        capsys, "train", cube, *SETTINGS, *CHOSEN
    )


@pytest.mark.slow
def test_train_on_what_is_chosen(renamed, tmp_path, capsys):
    """The columns are kept in the run's config; what is left out and not read is said."""
    folder = tmp_path / "run"
    train = ["train", "--env", ENV, "--data", renamed, *SETTINGS, "--reward", "success", *CHOSEN]
    stop = ["--run", folder, "--no-video", "--max-minutes", "0.0001"]
    assert main([str(word) for word in [*train, *stop]]) == 0
    out = capsys.readouterr().out
    assert "left out: " in out
    assert "5 episodes" in out
    assert load_run(folder).config.columns == ("observation=x,y", "action=moves")
    assert main(["resume", str(folder)]) == 0
    assert load_run(folder).finished
