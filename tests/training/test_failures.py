"""An environment that fails online: one line, a checkpoint, and a run that goes on to the bit."""

import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from driftpolicy.envs import parallel
from driftpolicy.errors import UserError
from driftpolicy.runs import checkpoints
from driftpolicy.runs.checkpoints import Checkpoint
from driftpolicy.runs.folder import RunFolder
from driftpolicy.tasks.custom import plain
from driftpolicy.tasks.custom.dataset import load_dataset
from driftpolicy.training.evaluation import evaluation_workers
from driftpolicy.training.launch import launch
from driftpolicy.training.loop import train
from driftpolicy.training.records import Records
from driftpolicy.training.state import RunState
from tests.tasks.custom.recordings import demonstrate

from .conftest import assert_same_run, run_to_end, tiny, trainer_of

pytestmark = pytest.mark.slow

ROBOT = """
import os, signal, sys, time
from pathlib import Path
import numpy as np
from tests.tasks.custom import own

FAULT = Path(__file__).with_name("fault")


class Robot(own.Point):
    made = 0

    def step(self, action):
        self.made += 1
        observation, *others = super().step(action)
        if FAULT.exists() and self.made >= 13:
            match FAULT.read_text():
                case "nan":
                    observation[1] = np.nan
                case "raise":
                    raise ValueError("the arm is stuck")
                case "exit":
                    sys.exit(0)
                case "kill":
                    os.kill(os.getpid(), signal.SIGKILL)
                case "hang":
                    FAULT.with_name("hanging").touch()
                    time.sleep(3600)
        return observation, *others


def make():
    return own.limited(Robot())


def restless():
    return own.limited(own.Restless())
"""
FAULTS = {
    "nan": "observation holds nan in number 1, counted from 0, after step 1 of the episode",
    "raise": r"failed in step 1 of .*: ValueError: the arm is stuck \(robot.py, line \d+\)",
    "exit": "failed in step 1 of .*: SystemExit: 0",
    "kill": r"an environment process died \(exit code -9\)",
    "hang": "has not answered for 600 s",
}


@pytest.fixture(scope="module")
def robot(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("robot")
    (folder / "robot.py").write_text(ROBOT)
    return folder / "robot.py"


@pytest.fixture(scope="module")
def config(robot):
    file = robot.with_name("point.npz")
    plain.write(file, demonstrate(), control_rate=10.0)
    agent = dataclasses.replace(tiny(file).agent, chunk_length=3)
    return dataclasses.replace(
        tiny(file, offline_steps=0, online_steps=40, warmup_steps=4, eval_episodes=1, log_every=10),
        task=f"gymnasium:{robot}:make",
        agent=agent,
        checkpoint_every=1000,
        eval_every=1000,
    )


@pytest.fixture(scope="module")
def dataset(config):
    return load_dataset(config.configured_task(), Path(config.data))


@pytest.fixture(scope="module")
def workers(config, dataset):
    with evaluation_workers(config.configured_task(dataset.scaling), 1) as workers:
        yield workers


@pytest.fixture(scope="module")
def whole(config, dataset, workers, tmp_path_factory):
    *whole, _ = run_to_end(config, tmp_path_factory.mktemp("whole"), dataset, workers)
    return whole


@pytest.mark.parametrize("fault", FAULTS)
def test_a_failure_costs_no_step(
    robot, config, dataset, workers, whole, tmp_path, fault, monkeypatch
):
    folder, flag = RunFolder(tmp_path / "run"), robot.with_name("fault")
    hanging, wait = robot.with_name("hanging"), parallel.wait

    def wait_until_it_hangs(connections, timeout):
        while not hanging.exists():
            if answered := wait(connections, 0.05):
                return answered
        return wait(connections, 0)

    if fault == "hang":
        monkeypatch.setattr(parallel, "wait", wait_until_it_hangs)
    trainer = trainer_of(config, folder, dataset, workers)
    flag.write_text(fault)
    try:
        with pytest.raises(UserError, match=FAULTS[fault]) as error:
            train([trainer], stop=lambda: False, report=lambda: None)
    finally:
        flag.unlink()
        trainer.close()
        monkeypatch.undo()
    assert "\n" not in str(error.value)
    assert f"a checkpoint at step 12, from where dfp resume {folder.path} goes on" in str(
        error.value
    )
    _, groups = checkpoints.load(checkpoints.latest(folder.checkpoints))
    assert np.isfinite(groups["replay"]["observations"]).all()
    *resumed, _ = run_to_end(config, folder.path, dataset, workers)
    assert_same_run(resumed, whole)


def test_of_several_failures_each_is_said(robot, config, tmp_path):
    folders = [RunFolder(tmp_path / f"seed{seed}") for seed in range(3)]
    for seed, folder in enumerate(folders):
        folder.create(dataclasses.replace(config, seed=seed, online_steps=(40, 40, 8)[seed]))
    flag, said = robot.with_name("fault"), io.StringIO()
    flag.write_text("raise")
    try:
        with pytest.raises(UserError, match="the arm is stuck") as error:
            launch(folders, Console(file=said, width=1000), new=True)
    finally:
        flag.unlink()
    assert f"dfp resume {folders[0].path} goes on" in str(error.value)
    assert f"Warning: {folders[1].path} failed too: " in said.getvalue()
    assert f"dfp resume {folders[1].path} goes on" in said.getvalue()
    assert folders[2].finished()


def test_a_failure_in_the_first_evaluation_says_that_there_is_no_checkpoint(
    config, dataset, tmp_path
):
    config = dataclasses.replace(config, checkpoint_every=1000, eval_every=20)
    with evaluation_workers(config.configured_task(dataset.scaling), 1) as workers:
        trainer = trainer_of(config, RunFolder(tmp_path / "run"), dataset, workers)
        workers._processes[0].kill()
        with pytest.raises(UserError, match=r"at step 20: .*last checkpoint: none yet"):
            train([trainer], stop=lambda: False, report=lambda: None)
        trainer.close()


def test_a_failure_in_an_evaluation_leaves_the_last_checkpoint(config, dataset, tmp_path):
    folder = RunFolder(tmp_path / "run")
    config = dataclasses.replace(config, checkpoint_every=10, eval_every=20)
    with evaluation_workers(config.configured_task(dataset.scaling), 1) as workers:
        trainer = trainer_of(config, folder, dataset, workers)
        workers._processes[0].kill()
        with pytest.raises(UserError, match=r"in the evaluation at step 20: .*last checkpoint: 10"):
            train([trainer], stop=lambda: False, report=lambda: None)
        trainer.close()
    assert checkpoints.latest(folder.checkpoints).name == "step-0000000010.npz"


def test_a_restless_environment_goes_on_in_a_fresh_episode(robot, config, dataset, tmp_path):
    config = dataclasses.replace(config, task=f"gymnasium:{robot}:restless", log_every=1000)
    folder = RunFolder(tmp_path / "run")
    with evaluation_workers(config.configured_task(dataset.scaling), 1) as workers:
        steps = iter(range(100))
        trainer = trainer_of(config, folder, dataset, workers)
        train([trainer], stop=lambda: next(steps) == 3, report=lambda: None)
        trainer.close()
        saved = Checkpoint.load(checkpoints.latest(folder.checkpoints))
        assert saved.wall_s > 0  # of the steps since the last row of a log too
        before = trainer.replay.state()["counts"]
        again = trainer_of(config, folder, dataset, workers)
        with pytest.raises(UserError, match=r"not reproduce .*dfp resume --resume-episode restart"):
            train([again], stop=lambda: False, report=lambda: None)
        again.close()
        fresh = Records(RunState(config, folder, dataset, "data", fresh_episode=True), workers)
        assert train([fresh], stop=lambda: False, report=lambda: None)
        fresh.run.close()
        fresh.close()
    rows, _, transitions = fresh.run.replay.state()["counts"]
    assert transitions[0] == config.online_steps
    assert rows[0] - transitions[0] > before[0][0] - before[2][0]  # each episode has a row more
