"""The commands train, resume, eval: as a user runs them, in processes that are really killed."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from driftpolicy.cli import main
from tests.training.conftest import TASK, data_file, tiny  # noqa: F401

SETTINGS = [
    *("--offline-steps", "150", "--online-steps", "150", "--warmup-steps", "20"),
    *("--batch-size", "16", "--replay-capacity", "100", "--eval-every", "70"),
    *("--eval-episodes", "1", "--log-every", "7", "--checkpoint-every", "31"),
    *("--no-video", "--processes", "1", "--actor-hidden", "16", "--critic-hidden", "16"),
    *("--generated", "2", "--candidates", "4", "--positives", "2", "--best-of", "2"),
]


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "driftpolicy.cli", *map(str, arguments)]


def start(*arguments: object) -> subprocess.Popen:
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    return subprocess.Popen(
        command(*arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )


def finish(process: subprocess.Popen) -> tuple[int, str]:
    output, _ = process.communicate(timeout=900)
    return process.returncode, output


def kill(process: subprocess.Popen) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def wait_for_rows(process: subprocess.Popen, path: Path, rows: int) -> None:
    deadline = time.monotonic() + 240
    while not path.exists() or path.read_bytes().count(b"\n") <= rows:
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            pytest.fail(f"no {rows} rows in {path}: {process.communicate()[0]}")
        time.sleep(0.005)


def rows_without_time(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return [{k: v for k, v in r.items() if k != "wall_s"} for r in csv.DictReader(file)]


def last_parameters(run: Path) -> dict[str, np.ndarray]:
    path = sorted((run / "checkpoints").glob("*.npz"))[-1]
    with np.load(path) as file:
        return {name: file[name] for name in file.files if name != "meta"}


def test_killed_in_both_phases_and_resumed_equals_never_interrupted(data_file, tmp_path):  # noqa: F811
    train = ("train", TASK, "--preset", "paper", "--data", data_file, *SETTINGS)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    code, output = finish(start(*train, "--run", whole))
    assert code == 0, output
    # 22 rows are logged offline and 22 online; a second process keeps out of the folder meanwhile.
    process = start(*train, "--run", killed)
    wait_for_rows(process, killed / "train.csv", 9)
    kill(process)
    process = start("resume", killed)
    wait_for_rows(process, killed / "train.csv", 27)
    assert main(["resume", str(killed)]) == 2
    kill(process)
    assert not (killed / "summary.json").exists()
    process = start("resume", killed)
    wait_for_rows(process, killed / "train.csv", 33)
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
        (["train", TASK, "--discount", "x"], "argument --discount: invalid float value: 'x'"),
        (["train", TASK, "--preset", "huge"], "unknown preset 'huge'"),
        (["train", TASK, "--method", "sac"], "unknown method 'sac'"),
        (["train", TASK, "--terminal-windows", "x"], "invalid choice: 'x' (choose from 'drop'"),
        (["train", TASK, "--colour", "red"], "unrecognized arguments: --colour red"),
        (["train", TASK, "--max-minutes", "-1"], "must be above 0"),
        (["train"], "name a task"),
        (["resume", "nowhere"], "nowhere holds no run"),
        (["eval", "nowhere"], "holds no checkpoint"),
        (["eval", "nowhere", "--episodes", "0"], "--episodes must be at least 1"),
        ([], "required: COMMAND"),
        (["dance"], "invalid choice: 'dance'"),
    ],
)
def test_mistakes_are_one_line(capsys, monkeypatch, tmp_path, arguments, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["dfp", *arguments])
    assert message in one_line(capsys, arguments)
    assert list(tmp_path.iterdir()) == []


def test_missing_data_name_the_three_ways(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    error = one_line(capsys, ["train", TASK, "--runs", str(tmp_path / "runs")])
    for way in ("dfp data download cube-single-play-v0", "dfp data collect", "--data PATH"):
        assert way in error


def test_a_folder_of_another_run_is_refused(capsys, data_file, tmp_path):  # noqa: F811
    from driftpolicy.training.run import RunFolder

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


def test_broken_data_are_refused(capsys, data_file, tmp_path):  # noqa: F811
    def error(path: Path, task: str = TASK) -> str:
        run = tmp_path / f"run-{path.stem}-{task}"
        return one_line(capsys, ["train", task, "--run", str(run), "--data", str(path)])

    with np.load(data_file) as file:
        arrays = dict(file)
    truncated = tmp_path / "truncated.npz"
    truncated.write_bytes(data_file.read_bytes()[:-1000])
    assert "truncated, damaged or not an npz file" in error(truncated)
    np.savez(tmp_path / "foreign.npz", images=np.ones(3))
    assert "is not an OGBench dataset: it has no observations" in error(tmp_path / "foreign.npz")
    arrays["observations"] = arrays["observations"].copy()
    arrays["observations"][17, 3] = np.nan
    np.savez(tmp_path / "nan.npz", **arrays)
    assert "hold NaN or infinity, first in row 17" in error(tmp_path / "nan.npz")
    assert "shape" in error(data_file, "cube-double-play-singletask-task2-v0")
    assert "no such file" in error(tmp_path / "missing.npz")


def test_time_limit_and_no_gl(data_file, tmp_path, monkeypatch):  # noqa: F811
    """``--max-minutes`` stops with a checkpoint; without OpenGL training goes on without a film."""
    run = tmp_path / "run"
    settings = [*SETTINGS, "--video", "--offline-steps", "40", "--online-steps", "0"]
    train = ("train", TASK, "--data", data_file, "--run", run, *settings)
    code, output = finish(start(*train, "--max-minutes", "0.0001"))
    assert code == 0, output
    assert "Stopped by the limit of 0.0001 minutes at step 0" in output
    monkeypatch.setenv("MUJOCO_GL", "glfw")  # needs a display, and there is none
    monkeypatch.delenv("DISPLAY", raising=False)
    code, output = finish(start("resume", run))
    assert code == 0, output
    assert "No video: cannot render" in output
    assert "Traceback" not in output
    assert not (run / "rollout.mp4").exists()
    assert (run / "summary.json").exists()
    code, output = finish(start("eval", run, "--episodes", "1"))
    assert code == 0, output
    assert "success" in output
