"""The commands train, resume, eval: as a user runs them, in processes that are really killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from driftpolicy.api import create_runs, train_seeds
from driftpolicy.cli import main
from driftpolicy.envs.opengl import no_opengl
from driftpolicy.errors import UserError
from driftpolicy.runs.folder import RunFolder
from tests.opengl import BARE
from tests.training import held
from tests.training.conftest import TASK, data_file, rows_without_time, tiny  # noqa: F401
from tests.waiting import PATIENCE, wait_until

SETTINGS = [
    *("--offline-steps", "150", "--online-steps", "150", "--warmup-steps", "20"),
    *("--batch-size", "16", "--replay-capacity", "100", "--eval-every", "70"),
    *("--eval-episodes", "1", "--log-every", "7", "--checkpoint-every", "31"),
    *("--no-video", "--processes", "1", "--actor-hidden", "16", "--critic-hidden", "16"),
    *("--generated", "2", "--candidates", "4", "--positives", "2", "--best-of", "2"),
]


def start(*arguments: object, python: tuple = ("-m",)) -> subprocess.Popen:
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    return subprocess.Popen(
        [sys.executable, *map(str, python), "driftpolicy.cli", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )


def finish(process: subprocess.Popen) -> tuple[int, str]:
    output, _ = process.communicate(timeout=PATIENCE)
    return process.returncode, output


def kill(process: subprocess.Popen) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def last_parameters(run: Path) -> dict[str, np.ndarray]:
    """All arrays of the last checkpoint but those that hold times."""
    path = sorted((run / "checkpoints").glob("*.npz"))[-1]
    with np.load(path) as file:
        return {name: file[name] for name in file.files if name not in ("meta", "logs/eval")}


def test_killed_in_both_phases_and_resumed_equals_never_interrupted(data_file, tmp_path):  # noqa: F811
    train = ("train", TASK, "--preset", "paper", "--data", data_file, *SETTINGS)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    code, output = finish(start(*train, "--run", whole))
    assert code == 0, output

    def start_to(row: int, *arguments: object) -> subprocess.Popen:
        """A process that waits at this row."""
        stops = tmp_path / f"to-{row}"
        stops.mkdir()
        (stops / str(row)).touch()
        process = start(*arguments, python=(held.__file__, stops))
        wait_until(lambda: held.rows(killed / "train.csv") == row, process)
        return process

    # 22 rows are logged offline and 22 online; a second process keeps out of the folder meanwhile.
    kill(start_to(9, *train, "--run", killed))
    process = start_to(27, "resume", killed)
    assert main(["resume", str(killed)]) == 2
    kill(process)
    assert not (killed / "summary.json").exists()
    process = start_to(33, "resume", killed)
    process.send_signal(signal.SIGTERM)
    code, output = finish(process)
    assert code == 128 + signal.SIGTERM, output
    assert f"dfp resume {killed}" in output
    code, output = finish(start("resume", killed))
    assert code == 0, output

    assert (killed / "train.csv").read_bytes() == (whole / "train.csv").read_bytes()
    assert rows_without_time(killed / "eval.csv") == rows_without_time(whole / "eval.csv")
    expected, found = last_parameters(whole), last_parameters(killed)
    assert set(expected) == set(found)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)
    assert (killed / "summary.json").exists()
    assert (killed / "curves.png").read_bytes().startswith(b"\x89PNG")


def one_line(capsys, arguments: list[str]) -> str:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("dfp: ")
    assert err.count("\n") == 1
    return err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "cube-duoble-play-singletask-task2-v0"], "nearest: cube-double-play"),
        (["train", TASK, "--discount", "2"], "--discount must be in (0, 1], not 2.0"),
        (["train", TASK, "--discount", "x"], "--discount: must be a number, not 'x'"),
        (["train", TASK, "--batch-size", "1.5"], "--batch-size: must be a whole number, not '1.5'"),
        (["train", TASK, "--seeds", "0,a"], "--seeds: must be a whole number, not 'a'"),
        (["train", TASK, "--max-minutes", "x"], "--max-minutes: must be a number, not 'x'"),
        (["eval", "runs", "--episodes", "x"], "--episodes: must be a whole number, not 'x'"),
        (["benchmark", "run", "smoke", "--together", "x"], "must be a whole number, not 'x'"),
        (["benchmark", "run", "smoke", "--gpus-per-run", "x"], "must be a number, not 'x'"),
        (["train", TASK, "--preset", "huge"], "unknown preset 'huge'"),
        (["train", TASK, "--method", "sac"], "unknown method 'sac'"),
        (["train", TASK, "--method"], "argument --method: expected one argument"),
        (["train", TASK, "--method", "iql", "--positives", "2"], "arguments: --positives 2"),
        (["train", TASK, "--terminal-windows", "x"], "invalid choice: 'x' (choose from 'drop'"),
        (["train", TASK, "--colour", "red"], "arguments: --colour red (dfp train --help"),
        (["train", TASK, "--batchsize=3"], "arguments: --batchsize=3; nearest: --batch-size"),
        (
            ["data", "collect", "lift", "--epsodes", "3"],
            "--epsodes 3; nearest: --episodes (dfp data",
        ),
        (["train", TASK, "--max-minutes", "-1"], "must be above 0"),
        (["train"], "name a task"),
        (["train", "--config", "none.toml"], "cannot read the settings none.toml: No such file"),
        (["train", "--config"], "argument --config: expected one argument"),
        (["resume", "nowhere"], "nowhere holds no run"),
        (["eval", "nowhere"], "nowhere does not exist"),
        (["eval", "nowhere", "--episodes", "0"], "--episodes must be at least 1"),
        (["eval", "nowhere", "--best-of", "0"], "--best-of must be at least 1"),
        ([], "required: COMMAND"),
        (["dance"], "invalid choice: 'dance'"),
    ],
)
def test_mistakes_are_one_line(capsys, monkeypatch, tmp_path, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert message in one_line(capsys, arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("own", [True, False])
def test_the_flags_are_those_of_the_method_that_is_asked_for(monkeypatch, tmp_path, own):
    """By the arguments, whatever the process was called with; without any, by those."""
    words = ["train", TASK, "--method", "iql", "--expectile", "0.8", "--run", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["pytest", "--method", "mvp"] if own else ["dfp", *words])
    monkeypatch.setattr("driftpolicy.training.launch.launch", lambda *folders, **limits: 0)
    assert main(words if own else None) == 0
    config = RunFolder(tmp_path).config()
    assert (config.method, config.agent.expectile) == ("iql", 0.8)


def test_a_run_from_a_file_and_what_a_dry_run_prints(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("driftpolicy.training.launch.launch", lambda *folders, **limits: 0)
    file = tmp_path / "run.toml"
    file.write_text(f'task = "{TASK}"\nmethod = "iql"\nseed = 4\n[agent]\nexpectile = 0.8\n')
    words = ["train", "--config", str(file), "--expectile", "0.7", "--preset", "small"]
    assert main([*words, "--dry-run"]) == 0
    out, _ = capsys.readouterr()
    folder = RunFolder(tmp_path / "runs" / TASK / "iql" / "seed4")
    assert out.startswith(f"# {folder.path.relative_to(tmp_path)}\n")
    assert "seed = 4" in out
    assert "# file run.toml" in out
    assert list(tmp_path.iterdir()) == [file]
    assert main(words) == 0
    assert (folder.config().agent.expectile, folder.config().batch_size) == (0.7, 128)
    file.write_text(out)
    assert main(["train", "--config", str(file), "--run", str(tmp_path / "again")]) == 0
    assert RunFolder(tmp_path / "again").config() == folder.config()
    assert main(["train", "--config", str(file), "--seeds", "1,2"]) == 0
    assert (folder.path.parent / "seed2").is_dir()


def test_missing_data_name_the_three_ways(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    error = one_line(capsys, ["train", TASK, "--runs", str(tmp_path / "runs")])
    for way in ("dfp data download cube-single-play-v0", "dfp data collect", "--data PATH"):
        assert way in error


def test_a_folder_of_another_run_is_refused(capsys, data_file, tmp_path):  # noqa: F811
    folder = RunFolder(tmp_path)
    folder.create(tiny(data_file))
    folder.train_csv.write_text("step\n")
    train = ["train", "--run", str(tmp_path), "--data", str(data_file)]
    error = one_line(capsys, [*train, "cube-double-play-singletask-task2-v0"])
    assert f"holds a run of dfp on {TASK}" in error
    assert "dfp resume" in one_line(capsys, [*train, TASK])


def test_a_mistake_does_not_occupy_the_folder(capsys, tmp_path):
    train = ["train", TASK, "--run", str(tmp_path)]
    for _ in range(2):
        assert "no such file" in one_line(capsys, [*train, "--data", "nowhere.npz"])
        assert not RunFolder(tmp_path).begun()


def test_of_several_runs_all_begin_or_none(data_file, tmp_path):  # noqa: F811
    taken, free, damaged = (RunFolder.of(tiny(data_file, seed=i), tmp_path) for i in range(3))
    for folder in (taken, damaged):
        folder.checkpoints.mkdir(parents=True)
    taken.train_csv.write_text("step\n")
    taken.write_text(taken.config_file, tiny(data_file).to_json())
    settings = {"data": data_file, "actor_hidden": [8], "critic_hidden": [8], "processes": 1}
    with pytest.raises(UserError, match="already holds a run"):
        create_runs(TASK, "dfp", [settings | {"seed": i} for i in (1, 0)], runs=tmp_path)
    assert not free.begun()
    (damaged.checkpoints / "step-0000000001.npz").write_bytes(b"no checkpoint")
    with pytest.raises(UserError, match="checkpoint"):
        train_seeds(TASK, "dfp", seeds=[1, 2], runs=tmp_path, **settings)
    assert not free.begun()
    assert damaged.config_file.exists()  # what there is can still be looked at


def test_broken_data_are_refused(capsys, data_file, tmp_path):  # noqa: F811
    def error(path: Path, task: str = TASK) -> str:
        run = tmp_path / f"run-{path.stem}-{task}"
        return one_line(capsys, ["train", task, "--run", str(run), "--data", str(path)])

    with np.load(data_file) as file:
        arrays = dict(file)
    truncated = tmp_path / "truncated.npz"
    truncated.write_bytes(data_file.read_bytes()[:-1000])
    assert "truncated, damaged or not an npz file" in error(truncated)
    hdf5 = tmp_path / "other.hdf5"
    hdf5.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    assert "other.hdf5 is an HDF5 file, not an npz file" in error(hdf5)
    assert "is an npz file, not an HDF5 file" in error(data_file, "lift-mh-low_dim")
    np.savez(tmp_path / "foreign.npz", images=np.ones(3))
    assert "is not an OGBench dataset: it has no observations" in error(tmp_path / "foreign.npz")
    arrays["observations"] = arrays["observations"].copy()
    arrays["observations"][17, 3] = np.nan
    np.savez(tmp_path / "nan.npz", **arrays)
    assert "hold NaN or infinity, first in row 17" in error(tmp_path / "nan.npz")
    assert "shape" in error(data_file, "cube-double-play-singletask-task2-v0")
    assert "no such file" in error(tmp_path / "missing.npz")


@pytest.mark.slow
@pytest.mark.simulator
def test_time_limit_and_no_gl(data_file, tmp_path, monkeypatch):  # noqa: F811
    """``--max-minutes`` stops with a checkpoint; without OpenGL training goes on without a film."""
    monkeypatch.setenv("MUJOCO_GL", "egl")
    monkeypatch.setenv("PYTHONPATH", BARE)
    run = tmp_path / "run"
    settings = [*SETTINGS, "--video", "--offline-steps", "40", "--online-steps", "0"]
    train = ("train", TASK, "--data", data_file, "--run", run, *settings)
    code, output = finish(start(*train, "--max-minutes", "0.0001"))
    assert code == 0, output
    assert "Stopped by the limit of 0.0001 minutes at step 0" in output
    code, output = finish(start("resume", run))
    assert code == 0, output
    missing = str(no_opengl("egl"))
    assert f"Warning: no video: {missing}\n" in output
    assert "Traceback" not in output
    assert not (run / "rollout.mp4").exists()
    assert (run / "summary.json").exists()
    code, output = finish(start("eval", run, "--episodes", "1", "--video", tmp_path / "film.mp4"))
    assert code == 2, output
    *_, success, mistake = output.splitlines()
    assert success.startswith("success")
    assert mistake == f"dfp: {missing}"


@pytest.mark.parametrize(
    "arguments",
    [
        ["eval", "x" * 5000],
        ["export", "x" * 5000, "policy.onnx"],
        ["resume", "x" * 5000],
        ["train", TASK, "--run", "x" * 5000],
        ["train", TASK, "--data", "x" * 5000, "--run", "run"],
        ["benchmark", "table", "smoke", "--runs", "x" * 5000],
    ],
)
def test_a_name_that_no_file_can_have_is_one_line(capsys, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    one_line(capsys, arguments)


def test_without_a_home_folder_is_one_line(capsys, monkeypatch):
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    assert "set HOME to one" in one_line(capsys, ["tasks"])
