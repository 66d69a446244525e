"""``dfp benchmark run`` as a user runs it: real training, real kills."""

import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

if importlib.util.find_spec("ray") is None:  # not imported here: the package sets Ray up first
    pytest.skip("needs Ray: uv sync --extra benchmark", allow_module_level=True)

from driftpolicy.cli import main
from tests.suites.common import TASK
from tests.training import held
from tests.training.conftest import data_file, rows_without_time  # noqa: F401
from tests.waiting import PATIENCE, wait_until

pytestmark = [pytest.mark.long, pytest.mark.slow, pytest.mark.ray]

SETTINGS = {
    "offline_steps": 150,
    "online_steps": 150,
    "warmup_steps": 20,
    "batch_size": 16,
    "replay_capacity": 100,
    "eval_every": 70,
    "eval_episodes": 1,
    "log_every": 7,
    "checkpoint_every": 31,
    "processes": 1,
    "critics": 1,
    "generated": 2,
    "candidates": 4,
    "positives": 2,
    "best_of": 2,
}
FLAGS = [word for name, value in SETTINGS.items() for word in (f"--{name}", str(value))]
# dfp whose runs are started by the first three arguments.
WITH_PROGRAM = """
import functools, sys
from driftpolicy.suites import cluster
from driftpolicy.cli import main

program, words = sys.argv[1:4], sys.argv[4:]
cluster.RayMachines = functools.partial(cluster.RayMachines, program=program)
sys.exit(main(words))
"""


def start(*arguments: object, python: tuple = ("-m", "driftpolicy.cli")) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, *map(str, (*python, *arguments))],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # By itself Ray gives way to whatever else runs.
        env=os.environ | {"PJRT_NPROC": "1", "RAY_worker_niceness": "0"},
    )


def processes_of(folder: Path) -> list[int]:
    """The processes of a run, found by their command lines."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"driftpolicy.suites.one" in words and str(folder).encode() in words:
            found.append(int(entry.name))
    return found


def test_killed_workers_and_drivers_change_nothing(data_file, tmp_path, capsys):  # noqa: F811
    whole, root = tmp_path / "whole", tmp_path / "runs"
    suite = tmp_path / "mine.toml"
    values = [f"{name} = {value}" for name, value in SETTINGS.items()]
    values += [f'data = "{data_file}"', "video = false", "actor_hidden = [16]"]
    suite.write_text(
        f'tasks = ["{TASK}"]\nmethods = ["dfp"]\nseeds = [0]\n[overrides]\n'
        + "\n".join([*values, "critic_hidden = [16]"])
    )
    flags = [flag.replace("_", "-") for flag in FLAGS]
    flags += ["--no-video", "--actor-hidden", "16", "--critic-hidden", "16"]
    by_hand = start("train", TASK, "--data", data_file, *flags, "--run", whole)
    output, _ = by_hand.communicate(timeout=PATIENCE)
    assert by_hand.returncode == 0, output

    # 22 rows are logged offline and 22 online. At two of them the runs wait.
    command = ("benchmark", "run", suite, "--out", root)
    folder, stops = root / TASK / "dfp" / "seed0", tmp_path / "stops"
    stops.mkdir()
    for row in (9, 27):
        (stops / str(row)).touch()
    program = (held.__file__, stops, "driftpolicy.suites.one")
    driver = start(*program, *command, python=("-c", WITH_PROGRAM))
    wait_until(lambda: held.rows(folder / "train.csv") == 9, driver)
    (run,) = processes_of(folder)
    os.kill(run, signal.SIGKILL)
    wait_until(lambda: run not in processes_of(folder))
    (stops / "9").unlink()
    wait_until(lambda: held.rows(folder / "train.csv") == 27, driver)
    assert main([str(word) for word in command]) == 2
    assert capsys.readouterr().err == f"dfp: another process is running in {root}\n"
    (again,) = processes_of(folder)
    assert again != run
    driver.send_signal(signal.SIGKILL)
    driver.communicate()
    wait_until(lambda: not processes_of(folder))
    assert not (folder / "summary.json").exists()

    driver = start(*command)
    output, _ = driver.communicate(timeout=PATIENCE)
    assert driver.returncode == 0, output
    assert "1 of 1 runs finished" in output
    assert "continued from step" in output
    for line in output.splitlines():  # nothing of Ray's own
        assert "ray" not in line.lower().replace(str(tmp_path).lower(), ""), output

    assert (folder / "config.json").read_bytes() == (whole / "config.json").read_bytes()
    assert (folder / "train.csv").read_bytes() == (whole / "train.csv").read_bytes()
    assert rows_without_time(folder / "eval.csv") == rows_without_time(whole / "eval.csv")
    expected, found = (
        np.load(sorted((path / "checkpoints").glob("*.npz"))[-1]) for path in (whole, folder)
    )
    with expected, found:
        assert set(expected.files) == set(found.files)
        for name in set(expected.files) - {"meta", "logs/eval"}:  # in which are times
            np.testing.assert_array_equal(found[name], expected[name], err_msg=name)
    assert {path.name for path in folder.iterdir()} == (
        {path.name for path in whole.iterdir()} | {"log.txt"}
    )
