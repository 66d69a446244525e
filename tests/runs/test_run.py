"""A run as its folder shows it: complete, under way, kept as evidence, or damaged."""

import json
import os
import re
import subprocess

import numpy as np
import pytest

from driftpolicy.config import resolve
from driftpolicy.errors import UserError
from driftpolicy.runs import Run, Summary, load_run
from driftpolicy.runs.curves import plot_curves, recent_success
from driftpolicy.runs.folder import RunFolder
from driftpolicy.runs.tables import Training

TASK = "cube-single-play-singletask-task1-v0"
EVALUATIONS = (
    "step,phase,success,return,length,episodes,wall_s\r\n"
    "6000,offline,0.25,-190.5,195.0,4,10.5\r\n"
    "12000,online,0.75,-80.0,84.0,4,30.25\r\n"
)
TRAINING = "step,phase,loss,episode_success\r\n3000,offline,0.5,\r\n9000,online,0.25,1.0\r\n"


@pytest.fixture
def folder(tmp_path):
    """A finished run's."""
    folder = RunFolder(tmp_path / "run")
    folder.create(resolve(TASK, "dfp", "small", {}))
    folder.eval_csv.write_text(EVALUATIONS)
    folder.train_csv.write_text(TRAINING)
    folder.checkpoints.mkdir()
    (folder.checkpoints / "step-0000012000.npz").touch()
    folder.video.touch()
    folder.write_summary({"task": TASK, "steps": 12_000, "wall_s": 31, "data": {"crc32": "ab"}})
    return folder


def forget_checksums(folder):
    """Leave a summary as older versions wrote it."""
    values = json.loads(folder.summary.read_text())
    del values["checksums"]
    folder.summary.write_text(json.dumps(values, indent=2))


def test_a_finished_run(folder):
    run = load_run(str(folder.path))
    assert run.config == resolve(TASK, "dfp", "small", {})
    assert [(e.step, e.percent, e.return_) for e in run.evaluations] == [
        (6000, 25.0, -190.5),
        (12_000, 75.0, -80.0),
    ]
    assert run.training.metrics["loss"].tolist() == [0.5, 0.25]
    assert run.summary == Summary(task=TASK, steps=12_000, wall_s=31.0, data={"crc32": "ab"})
    assert run.finished
    assert run.film == folder.video
    assert run.curves is None
    assert (run.saved_step, run.logged_step) == (12_000, 9000)
    plot_curves(run, title="a run", out=folder.curves)
    assert run.curves == folder.curves


def test_training_episodes_succeed_as_often_as_over_a_tenth_of_the_rows():
    """Each row counts by its episodes: one of 100 steps for a failure of 300 is three for one."""
    steps = np.arange(0, 2100, 100)
    rates = np.tile([1.0, 0.0], 11)[:21]
    rates[0] = np.nan  # offline
    lengths = np.where(rates == 1.0, 100.0, 300.0)
    training = Training(steps, ("offline",) + 20 * ("online",), {"episode_success": rates})
    at, plain = recent_success(training)
    assert at.tolist() == steps[1:].tolist()
    assert plain.tolist() == [0.0] + 19 * [50.0]
    metrics = {"episode_success": rates, "episode_length": lengths}
    _, weighted = recent_success(Training(steps, training.phases, metrics))
    np.testing.assert_allclose(weighted, [0.0] + 19 * [75.0])


def test_no_training_episode_ended():
    for metrics in ({}, {"episode_success": np.full(3, np.nan)}):
        at, recent = recent_success(Training(np.arange(3), 3 * ("offline",), metrics))
        assert (len(at), len(recent)) == (0, 0)


def test_a_run_under_way_has_no_film_and_no_summary(folder):
    folder.summary.unlink()
    run = load_run(folder.path)
    assert (run.finished, run.summary, run.film) == (False, None, None)


def test_evidence_needs_nothing_but_evaluations(tmp_path):
    (tmp_path / "eval.csv").write_text(EVALUATIONS)
    (tmp_path / "rollout.mp4").touch()
    run = load_run(tmp_path)
    assert len(run.evaluations) == 2
    assert len(run.training.steps) == 0
    assert (run.has_config, run.finished, run.summary) == (False, False, None)
    assert (run.checkpoints, run.saved_step) == ([], -1)
    assert run.film == tmp_path / "rollout.mp4"
    with pytest.raises(UserError, match="holds no run"):
        _ = run.config


def test_no_run(tmp_path):
    with pytest.raises(UserError, match="holds no run"):
        load_run(tmp_path)


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("eval.csv", "0.75", "0.7S", "line 3 is no evaluation"),
        ("train.csv", "9000", "9OOO", "line 3 is no row of training"),
        ("summary.json", "12000", "l2000", "line 3 column"),
        ("summary.json", "12000", '"12000"', "steps cannot be '12000'"),
        ("config.json", '"batch_size": 128', '"batch_size": l28', "line 10 column"),
        (
            "config.json",
            '"batch_size": 128',
            '"batch_size": 12.8',
            "batch_size must be a whole number",
        ),
    ],
)
def test_damage_is_one_line_that_names_the_file(folder, name, old, new, message):
    forget_checksums(folder)
    path = folder.path / name
    assert old in path.read_text()
    path.write_bytes(path.read_bytes().replace(old.encode(), new.encode()))
    run = load_run(folder.path)
    with pytest.raises(UserError, match=re.escape(message)) as raised:
        _ = (run.config, run.evaluations, run.training, run.summary)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("eval.csv", "0.75", "0.25"),
        ("train.csv", "9000,online,0.25", "9000,online,0.75"),
        ("config.json", '"batch_size": 128', '"batch_size": 129'),
        ("summary.json", "12000", "13000"),
    ],
)
def test_a_digit_that_changed_after_the_end_is_noticed(folder, name, old, new):
    path = folder.path / name
    assert old in path.read_text()
    path.write_bytes(path.read_bytes().replace(old.encode(), new.encode()))
    run = load_run(folder.path)
    assert run.damage.startswith(f"{path} was changed or damaged")
    assert "\n" not in run.damage
    folder.summary.unlink()
    assert run.damage == ""  # a run under way keeps no checksums


def test_line_ends_and_spaces_of_a_copy_do_not_matter(folder):
    for path in (folder.eval_csv, folder.train_csv):
        path.write_bytes(path.read_bytes().replace(b"\r\n", b"\n"))
    folder.summary.write_text(json.dumps(json.loads(folder.summary.read_text())))
    assert load_run(folder.path).damage == ""


@pytest.mark.parametrize("name", ["eval.csv", "train.csv", "summary.json", "config.json"])
def test_bytes_that_are_no_text_are_named(folder, name):
    forget_checksums(folder)
    path = folder.path / name
    path.write_bytes(path.read_bytes().replace(b"0", b"\xff"))
    run = load_run(folder.path)
    with pytest.raises(UserError, match=f"cannot read .*{re.escape(name)}"):
        _ = (run.config, run.evaluations, run.training, run.summary)


def test_a_summary_may_say_less_or_more(folder):
    folder.summary.write_text(json.dumps({"video": None, "later": 1}))
    assert Run(folder.path).summary == Summary()
    folder.summary.write_text("[]")
    with pytest.raises(UserError, match="is no summary of a run"):
        _ = Run(folder.path).summary


def test_a_run_removes_what_killed_processes_left(folder):
    gone = subprocess.Popen(["true"])
    gone.wait()
    left = [
        folder.path / f".eval.csv.{gone.pid}.tmp",
        folder.checkpoints / f".step-0000000001.npz.{gone.pid}.tmp",
        folder.path / f".summary.json.{os.getpid()}.tmp",
    ]
    kept = [
        folder.path / f".policy.onnx.{os.getppid()}.tmp",
        folder.path / ".notes.tmp",
        folder.path / f"mine.{gone.pid}.tmp",
    ]
    for path in left + kept:
        path.touch()
    with folder.lock():
        assert [path.exists() for path in left + kept] == [False] * 3 + [True] * 3
