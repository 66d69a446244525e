"""How runs are doing, as the lists of a folder and whoever follows one see it."""

import functools
import io
import os

import pytest
from rich.console import Console

from driftpolicy.cli import main
from driftpolicy.config import resolve
from driftpolicy.errors import UserError
from driftpolicy.report.status import find_run_folders, statuses
from driftpolicy.report.watching import watch
from driftpolicy.runs import Run
from driftpolicy.runs.folder import RunFolder
from tests.report.conftest import CUBE

HEAD = "step,phase,success,return,length,episodes,wall_s\r\n"
LOG = "step,phase,loss\r\n"
START = 1_000_000_000.0  # a second at which files were written


def made(root, seed=0, method="dfp", rows="", log="", finished=False):
    """A run of 100 offline and 300 online steps."""
    config = resolve(CUBE, method, "paper", {"offline_steps": 100, "online_steps": 300})
    folder = RunFolder(root / CUBE / method / f"seed{seed}")
    with folder.lock():
        folder.create(config)
    folder.eval_csv.write_text(HEAD + rows)
    folder.train_csv.write_text(LOG + log)
    if finished:
        folder.write_summary({})
    return folder


def at(seconds, *paths):
    for path in paths:
        os.utime(path, (START + seconds, START + seconds))


def status(folder):
    (one,) = statuses([Run(folder.path)])
    return one


def test_the_runs_of_a_folder_and_nothing_else(tmp_path, capsys):
    made(
        tmp_path, 10, finished=True, rows="100,offline,0.25,-1,9,4,50\r\n400,online,0.5,,,4,650\r\n"
    )
    made(tmp_path, 2, log="40,offline,1.0\r\n")
    made(tmp_path, 0, "iql").config_file.write_text("{")
    evidence = made(tmp_path, 1, "iql", rows="100,offline,0.25,-1,9,4,50\r\n")
    evidence.config_file.unlink()
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    (tmp_path / ".cache" / "run").mkdir(parents=True)
    (tmp_path / ".cache" / "run" / "eval.csv").write_text(HEAD)
    runs = find_run_folders(tmp_path)
    names = [str(run.path.relative_to(tmp_path / CUBE)) for run in runs]
    assert names == ["dfp/seed2", "dfp/seed10", "iql/seed0", "iql/seed1"]
    found = list(statuses(runs))
    assert [one.state for one in found] == ["stopped", "finished", "damaged", "evidence"]
    assert [one.step for one in found] == [40, 400, 0, 100]
    assert [one.success for one in found] == [None, 0.5, None, 0.25]
    # Seed 10 took 0.5 s a step offline and 2 s online.
    assert [one.left for one in found] == [60 * 0.5 + 300 * 2, None, None, None]
    assert main(["runs", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "4 runs: 1 stopped, 1 finished, 1 damaged, 1 evidence" in out
    assert "the config is damaged" in out
    assert main(["runs", str(runs[1].path)]) == 0


def test_a_folder_without_runs_is_refused(tmp_path, capsys):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UserError, match=str(folder)):
            find_run_folders(folder)
        assert main(["runs", str(folder)]) == 2


def test_the_pace_of_a_running_run_follows_from_the_times_of_its_files(tmp_path):
    folder = made(tmp_path, log="20,offline,1.0\r\n60,offline,1.0\r\n")
    lock = folder.path / ".lock"
    with folder.lock():
        at(0, lock)
        at(30, folder.train_csv)
        assert (status(folder).rate, status(folder).state) == (2.0, "running")
        assert status(folder).left is None  # nothing says how long the online phase takes
        # A checkpoint from before this process started: what lies between does not count.
        folder.checkpoints.mkdir()
        saved = folder.checkpoints / "step-0000000030.npz"
        saved.touch()
        at(-1000, saved)
        assert status(folder).rate == 1.0
        # Online: the end of the offline phase is the first step that tells of this one.
        folder.eval_csv.write_text(HEAD + "100,offline,0.25,-1,9,4,50\r\n")
        folder.train_csv.write_text(LOG + "60,offline,1.0\r\n120,online,1.0\r\n")
        at(40, folder.eval_csv)
        at(80, folder.train_csv)
        one = status(folder)
        assert (one.rate, one.left, one.phase) == (0.5, 280 / 0.5, "online")
        folder.train_csv.write_text(LOG)
        assert status(folder).rate is None
    assert (status(folder).rate, status(folder).state) == (None, "stopped")


def test_watching_a_run_shows_it_until_it_ends(tmp_path):
    folder = made(tmp_path, rows="100,offline,0.25,-1,9,4,50\r\n", log="20,offline,0.125\r\n")
    looks = []

    def wait(seconds):
        looks.append(seconds)
        if len(looks) == 1:
            with open(folder.eval_csv, "a") as file:
                file.write("400,online,0.5,,,4,650\r\n")
        if len(looks) == 2:
            folder.write_summary({})

    for terminal in (True, False):
        folder.summary.unlink(missing_ok=True)
        folder.eval_csv.write_text(HEAD + "100,offline,0.25,-1,9,4,50\r\n")
        looks.clear()
        out = io.StringIO()
        with folder.lock():
            watch(Run(folder.path), Console(file=out, force_terminal=terminal, width=80), wait=wait)
        text = out.getvalue()
        assert text.count("step       100 offline") == 1
        assert text.count("step       400 online") == 1
        assert f"Finished: {folder.path}" in text.replace("\n", "")
        assert ("loss" in text and "0.125" in text) == terminal
        assert len(looks) == 2


def test_watching_ends_with_ctrl_c_and_where_nothing_goes_on(tmp_path, capsys, monkeypatch):
    folder = made(tmp_path, log="20,offline,1.0\r\n")
    assert main(["watch", str(folder.path)]) == 0
    assert f"Stopped at step 20; go on with: dfp resume {folder.path}" in capsys.readouterr().out

    def interrupt(seconds):
        raise KeyboardInterrupt

    patched = functools.partial(watch, wait=interrupt)
    monkeypatch.setattr("driftpolicy.report.watching.watch", patched)
    with folder.lock():
        assert main(["watch", str(folder.path)]) == 0
    assert "the run itself goes on" in capsys.readouterr().out
    folder.eval_csv.write_text(HEAD + "nonsense\r\n")
    assert main(["watch", str(folder.path)]) == 2
    assert main(["watch", str(tmp_path / "nowhere")]) == 2


def test_a_look_at_a_run_does_not_keep_it_from_starting(tmp_path, monkeypatch):
    """Who looks has the lock for a moment; who starts asks again."""
    import fcntl

    folder = made(tmp_path)
    with open(folder.path / ".lock") as other:
        fcntl.flock(other, fcntl.LOCK_SH)
        monkeypatch.setattr("time.sleep", lambda seconds: fcntl.flock(other, fcntl.LOCK_UN))
        with folder.lock():
            assert folder.in_use()
