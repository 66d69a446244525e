"""A run in an environment of one's own is like any other: exact, resumable, evaluated, loaded."""

import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from driftpolicy import load_policy
from driftpolicy.errors import UserError
from driftpolicy.scaling import Scaling
from driftpolicy.tasks.custom import plain
from driftpolicy.tasks.custom.dataset import load_dataset
from driftpolicy.tasks.registry import find_task
from driftpolicy.training import checkpoints, video
from driftpolicy.training.config import TrainConfig, resolve
from driftpolicy.training.console import TrainingDisplay
from driftpolicy.training.evaluation import evaluation_workers
from driftpolicy.training.run import RunFolder
from tests.tasks.custom import own
from tests.tasks.custom.recordings import demonstrate

from .conftest import assert_same_run, run_to_end, tiny, trainer_of

pytestmark = pytest.mark.slow

NAME = f"gymnasium:{Path(own.__file__)}:make"


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> TrainConfig:
    file = tmp_path_factory.mktemp("own") / "point.npz"
    plain.write(file, demonstrate(), control_rate=10.0)
    agent = dataclasses.replace(tiny(file).agent, chunk_length=3)
    settings = {"action_bounds": "data", "normalise_observations": True, "reward": "success"}
    return dataclasses.replace(tiny(file), task=NAME, agent=agent, **settings)


@pytest.fixture(scope="module")
def dataset(config):
    return load_dataset(config.environment(), Path(config.data))


@pytest.fixture(scope="module")
def workers(config, dataset):
    with evaluation_workers(config.environment(dataset.scaling), 1) as workers:
        yield workers


@pytest.fixture(scope="module")
def whole(config, dataset, workers, tmp_path_factory):
    folder, trainer, starts = run_to_end(config, tmp_path_factory.mktemp("w"), dataset, workers)
    assert starts == 1
    return folder, trainer


def test_resumed_in_both_phases_equals_never_interrupted(whole, config, dataset, workers, tmp_path):
    asked = iter(range(1000))
    found = run_to_end(config, tmp_path, dataset, workers, lambda: next(asked) % 6 == 5)
    *interrupted, starts = found
    assert starts > 4
    assert_same_run(whole, interrupted)


def test_a_checkpoint_and_the_config_say_everything(whole, dataset):
    folder, _ = whole
    meta, _ = checkpoints.load(checkpoints.latest(folder.checkpoints), "agent")
    assert Scaling.from_json(meta["scaling"]) == dataset.scaling
    assert meta["control_rate"] == 10
    stored = TrainConfig.from_json(folder.config_file.read_text())
    task = stored.environment(Scaling.from_json(meta["scaling"]))
    assert task.custom.reward == "success"
    assert task.custom.scaling == dataset.scaling
    assert json.loads(folder.config_file.read_text())["task"] == NAME


def test_a_policy_takes_and_gives_the_users_units(whole, dataset):
    policy = load_policy(whole[0].path)
    place = np.float32([0.3, -0.8])
    chunk = policy.act(place, seed=1)
    assert chunk.shape == (3, 2)
    bare = load_policy(whole[0].path)
    bare.scaling = None
    inner = bare.act(dataset.scaling.observations(place), seed=1)
    np.testing.assert_array_equal(chunk, dataset.scaling.raw_actions(inner))
    low, high = dataset.scaling.action_low, dataset.scaling.action_high
    assert (chunk >= np.float32(low)).all()
    assert (chunk <= np.float32(high)).all()
    assert np.abs(inner - chunk).max() > 1e-3


def test_other_bounds_than_the_checkpoints_are_refused(whole, config, dataset, workers, tmp_path):
    folder = RunFolder(tmp_path)
    trainer = trainer_of(config, folder, dataset, workers)
    trainer.save()
    trainer.close()
    other = load_dataset(
        dataclasses.replace(config, action_bounds="space").environment(), Path(config.data)
    )
    with pytest.raises(UserError, match="made with other bounds of actions"):
        trainer_of(config, folder, other, workers)


def test_run_folders_have_names_of_folders(config):
    named = dataclasses.replace(config, task="gymnasium:../lab/my robot.py:make")
    assert RunFolder.of(named, Path("runs")).path == Path("runs/lab-my-robot.py-make/dfp/seed0")
    registered = dataclasses.replace(config, task="gymnasium:Reacher-v5")
    assert RunFolder.of(registered, Path("runs")).path == Path("runs/Reacher-v5/dfp/seed0")
    benchmark = "cube-single-play-singletask-task1-v0"
    assert RunFolder.of(tiny(Path("a")), Path("runs")).path == Path(f"runs/{benchmark}/dfp/seed0")


def test_settings_of_ones_own_are_of_ones_own_only():
    cube = "cube-single-play-singletask-task1-v0"
    for settings, flag in (
        ({"action_bounds": "data"}, "--action-bounds"),
        ({"normalise_observations": True}, "--normalise-observations"),
        ({"reward": "success"}, "--reward"),
        ({"success_return": 0.0}, "--success-return"),
        ({"max_episode_steps": 5}, "--max-episode-steps"),
    ):
        with pytest.raises(UserError, match=f"{flag} is for an environment of your own"):
            resolve(cube, "dfp", "paper", settings)
        assert resolve(NAME, "dfp", "paper", settings).environment().custom is not None
    assert resolve(cube, "dfp", "paper", {}).environment() == find_task(cube)
    for settings, message in (
        ({"success_return": float("nan")}, "--success-return must be a number"),
        ({"max_episode_steps": 0}, "--max-episode-steps must be at least 1"),
    ):
        with pytest.raises(UserError, match=message):
            resolve(NAME, "dfp", "paper", settings)
    with pytest.raises(UserError, match="unknown task"):
        find_task("gymnasium:")


def test_its_name_is_shown_as_it_is():
    """Rich would make a picture of ``:robot:``, and nothing of ``[b]``."""
    console = Console(file=io.StringIO(), width=80)
    with TrainingDisplay(console, "dfp on gymnasium:robot:make[b]"):
        pass
    assert console.file.getvalue() == "dfp on gymnasium:robot:make[b]\n"


def test_its_name_above_a_film_is_short():
    def title(name: str) -> str:
        return video._title(find_task(name))

    assert title("gymnasium:/home/me/a-singletask/robots/arm.py:make") == "robots/arm.py make"
    assert title("gymnasium:Pendulum-v0") == "Pendulum-v0"
    assert title("cube-single-play-singletask-task1-v0") == "cube-single-play-task1"
