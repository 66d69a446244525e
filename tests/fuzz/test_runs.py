"""Damage to a run's folder and to an exported model: refused in a line, or nothing has changed."""

import dataclasses
import importlib.util
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from driftpolicy.api import resume
from driftpolicy.data.files import read_npz, write_npz
from driftpolicy.deploy import Policy
from driftpolicy.errors import UserError
from driftpolicy.runs import load_run
from driftpolicy.runs.checkpoints import Checkpoint, latest
from driftpolicy.runs.curves import plot_curves
from driftpolicy.runs.folder import RunFolder
from driftpolicy.training.restore import load_agent
from driftpolicy.training.state import RunState
from tests.export.common import OBSERVATION, small_config, write_run
from tests.fuzz.mutations import mutate_arrays, mutate_bytes, mutate_json
from tests.training.conftest import (  # noqa: F401
    data_file,
    dataset,
    run_to_end,
    tiny,
    workers,
)

FILES = ("config.json", "eval.csv", "train.csv", "summary.json", "checkpoint")
EVALUATIONS = (
    "step,phase,success,return,length,episodes,wall_s\r\n"
    "6000,offline,0.25,-190.5,195.0,4,10.5\r\n"
    "12000,online,0.75,-80.0,84.0,4,30.25\r\n"
)
TRAINING = "step,phase,loss,episode_success\r\n3000,offline,0.5,\r\n9000,online,0.25,1.0\r\n"


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A run's folder with all its small files, whose agent was never trained."""
    folder = RunFolder(write_run(tmp_path_factory.mktemp("finished") / "run"))
    folder.write_text(folder.config_file, small_config("dfp").to_json())
    folder.eval_csv.write_bytes(EVALUATIONS.encode())
    folder.train_csv.write_bytes(TRAINING.encode())
    folder.write_summary({"steps": 12, "wall_s": 31.5, "data": {"crc32": "ab"}})
    return folder.path


def file_of(folder: Path, name: str) -> Path:
    return latest(folder / "checkpoints") if name == "checkpoint" else folder / name


def damage(path: Path, rng: np.random.Generator) -> str:
    if path.suffix == ".json" and rng.random() < 0.5:
        what, value = mutate_json(json.loads(path.read_text()), rng)
        path.write_text(json.dumps(value))
    else:
        what, content = mutate_bytes(path.read_bytes(), rng)
        path.write_bytes(content)
    return what


def numbers(folder: Path) -> list[str]:
    """Everything that a run's folder says, as text that can be compared."""
    run = load_run(folder)
    checkpoint = Checkpoint.load(latest(folder / "checkpoints"))
    arrays = {**checkpoint.agent, **checkpoint.replay, **checkpoint.collection}
    plain = dataclasses.replace(checkpoint, agent={}, replay={}, collection={})
    training = {name: column.tolist() for name, column in run.training.metrics.items()}
    parts: tuple[Any, ...] = (
        *(run.config, run.evaluations, run.training.steps.tolist(), training, run.summary),
        *({name: array.tolist() for name, array in arrays.items()}, plain),
    )
    return [str(part) for part in parts]


def refused(action: Callable[[], Any], what: str) -> bool:
    """Tell whether something was refused; anything but a line is an error."""
    line = ""
    try:
        action()
    except UserError as error:
        line = str(error)
    assert "\n" not in line, what
    return bool(line)


def trial(finished: Path, place: Path, name: str, seed: int) -> bool:
    """Damage one file; return whether that was refused, else nothing may have changed."""
    rng = np.random.default_rng(seed)
    shutil.copytree(finished, place)
    what = f"{name}, seed {seed}: {damage(file_of(place, name), rng)}"
    found: list[str] = []
    turned_away = refused(lambda: found.extend(numbers(place)), what)
    if not turned_away:
        assert found == numbers(finished), what
    if name == "checkpoint":  # which is all that is read for an agent
        refused(lambda: load_agent(latest(place / "checkpoints")), what)
    shutil.rmtree(place)
    return turned_away


@pytest.mark.parametrize("name", FILES)
def test_a_few_damaged_run_folders(finished, tmp_path, name):
    outcomes = [trial(finished, tmp_path / "run", name, seed) for seed in range(12)]
    assert sum(outcomes) > 6


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_many_damaged_run_folders(finished, tmp_path, name):
    outcomes = [trial(finished, tmp_path / "run", name, seed) for seed in range(1000, 1040)]
    assert sum(outcomes) > 20


def test_curves_of_damaged_logs_are_drawn_or_refused(finished, tmp_path):
    """Without a summary, as of a run under way."""
    out = tmp_path / "curves.png"
    for seed in range(2):
        place = shutil.copytree(finished, tmp_path / str(seed))
        (place / "summary.json").unlink()
        name = ("eval.csv", "train.csv")[seed % 2]
        what = damage(place / name, np.random.default_rng(seed))
        refused(lambda p=place: plot_curves(load_run(p), title="", out=out), f"{name}: {what}")


@pytest.mark.filterwarnings("ignore:.*has no checksum")
@pytest.mark.skipif(importlib.util.find_spec("onnx") is None, reason="uv sync --extra export")
@pytest.mark.parametrize(
    "seeds", [range(30), pytest.param(range(1000, 1300), marks=pytest.mark.slow)]
)
def test_damaged_models(finished, tmp_path, seeds):
    from driftpolicy.export.exporting import export_policy

    export_policy(finished, tmp_path / "policy.onnx", states=10)
    content = (tmp_path / "policy.onnx").read_bytes()

    def act(model: bytes) -> list[float]:
        policy = Policy(model)
        return policy.act(np.ones(OBSERVATION), np.random.default_rng(0)).ravel().tolist()

    expected = act(content)
    outcomes = []
    for seed in seeds:
        what, model = mutate_bytes(content, np.random.default_rng(seed))
        found: list[float] = []
        outcomes.append(refused(lambda m=model, f=found: f.extend(act(m)), what))
        assert outcomes[-1] or found == expected, f"seed {seed}: {what}"
    assert sum(outcomes) > len(outcomes) / 2


@pytest.fixture(scope="module")
def trained(data_file, dataset, workers, tmp_path_factory):  # noqa: F811
    """A run in the middle of an episode, at its end."""
    settings = {"offline_steps": 10, "online_steps": 20, "warmup_steps": 5, "eval_episodes": 1}
    config = tiny(data_file, **settings)
    path = tmp_path_factory.mktemp("trained") / "run"
    return run_to_end(config, path, dataset, workers)[0]


@pytest.mark.slow
@pytest.mark.simulator
def test_arrays_that_were_changed_are_restored_or_refused(trained, dataset, tmp_path):  # noqa: F811
    """With valid checksums, as somebody's own script would write them."""
    saved = latest(trained.checkpoints)
    arrays = read_npz(saved)
    outcomes = []
    for seed in range(40):
        folder = RunFolder(tmp_path / str(seed))
        what, changed = mutate_arrays(arrays, np.random.default_rng(seed))
        folder.create(trained.config())
        write_npz(folder.checkpoints / saved.name, changed)

        def restore(folder: RunFolder = folder) -> None:
            state = RunState(folder.config(), folder, dataset, "data")
            state.close()

        outcomes.append(refused(restore, f"seed {seed}: {what}"))
    assert sum(outcomes) > 20


@pytest.mark.slow
@pytest.mark.simulator
@pytest.mark.parametrize("name", ["eval.csv", "train.csv", "summary.json"])
def test_a_finished_run_is_mended_by_resuming_it(trained, tmp_path, name):
    from driftpolicy.tasks.registry import benchmark_of, find_task

    place = RunFolder(shutil.copytree(trained.path, tmp_path / "run"))
    task = find_task(place.config().task)
    described = benchmark_of(task).describe_data(Path(place.config().data or ""))
    saved = latest(place.checkpoints)
    arrays = read_npz(saved)
    meta = json.loads(str(arrays["meta"])) | {"data": described["crc32"]}
    write_npz(saved, arrays | {"meta": np.array(json.dumps(meta))})
    place.write_summary({"steps": 30})
    whole = (place.eval_csv.read_bytes(), place.train_csv.read_bytes())
    damage(place.path / name, np.random.default_rng(1))
    assert load_run(place.path).damage
    (run,) = resume(place.path)
    assert run.damage == ""
    assert (place.eval_csv.read_bytes(), place.train_csv.read_bytes()) == whole
