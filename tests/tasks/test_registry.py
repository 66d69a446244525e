"""A family of tasks of somebody else's is registered, and then is like all others."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import driftpolicy
from driftpolicy.cli import main
from driftpolicy.errors import UserError
from driftpolicy.tasks.benchmark import LoadOptions
from driftpolicy.tasks.registry import (
    BENCHMARKS,
    benchmark_of,
    benchmark_of_data,
    environment_maker,
    find_task,
    find_task_of_dataset,
    make_environment,
    task_names,
)
from examples.point_mass import PointMass, Toy

ROOT = Path(__file__).parents[2]
QUICK = [
    *("--offline-steps", "4", "--online-steps", "6", "--warmup-steps", "2", "--seed", "1"),
    *("--batch-size", "8", "--replay-capacity", "64", "--eval-every", "5", "--log-every", "2"),
    *("--eval-episodes", "2", "--processes", "1", "--actor-hidden", "8", "--critic-hidden", "8"),
    *("--generated", "2", "--candidates", "4", "--positives", "2", "--best-of", "2"),
    *("--chunk-length", "2", "--no-overlap", "--no-video"),
]


@pytest.fixture
def toy(monkeypatch):
    """The family of ``examples/point_mass.py``, registered for this test."""
    monkeypatch.syspath_prepend(str(ROOT))  # workers import the module, too
    benchmark = Toy()
    driftpolicy.register(benchmark)
    yield benchmark
    del BENCHMARKS[benchmark.name]


def test_its_tasks_are_found(toy, capsys):
    task = find_task("toy-reach")
    assert benchmark_of(task) is toy
    assert find_task_of_dataset("toy-reach") == task
    assert isinstance(make_environment(task), PointMass)
    assert task_names()[-1] == "toy-reach"
    assert main(["tasks", "reach"]) == 0
    assert capsys.readouterr().out == "toy-reach\n"
    with pytest.raises(UserError, match="nearest: toy-reach"):
        find_task("toy-reech")


def test_it_is_collected_inspected_and_trained(toy, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["data", "collect", "toy-reach", "--seed", "3", "--processes", "1"]) == 0
    file = "data/toy-reach-collected.npz"
    assert capsys.readouterr().out.startswith(f"{file}\n8 episodes")
    assert main(["data", "inspect", file]) == 0
    assert "8" in capsys.readouterr().out
    assert main(["data", "inspect", file, "--columns", "action=actions"]) == 2
    assert "data of toy: --columns is of data of your own" in capsys.readouterr().err
    loaded = toy.load_data(find_task("toy-reach"), tmp_path / file, LoadOptions())
    assert loaded.prior.episodes == 8
    assert main(["train", "toy-reach", "--run", "run", *QUICK]) == 0
    assert "8 episodes" in capsys.readouterr().out
    rows = (tmp_path / "run" / "eval.csv").read_text().splitlines()
    assert rows[-1].startswith("10,online")
    assert main(["eval", "run", "--episodes", "2"]) == 0


def test_what_it_does_not_offer_is_refused_in_one_line(toy, capsys):
    assert main(["data", "download", "toy-reach"]) == 2
    assert capsys.readouterr().err == "dfp: nobody publishes data of reach\n"


def test_a_worker_needs_no_registration(toy):
    """The maker brings its benchmark along."""
    stored = pickle.dumps(environment_maker(find_task("toy-reach")))
    code = f"import pickle; print(type(pickle.loads({stored!r})()).__name__)"
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert run.stdout == "PointMass\n"


def test_a_worker_loads_its_own_simulator_alone():
    """The registry itself loads neither JAX nor any simulator."""
    heavy = "{'jax', 'gymnasium', 'mujoco', 'ogbench', 'robosuite'} & set(sys.modules)"
    code = f"import sys, driftpolicy.tasks.registry as r; print(sorted({heavy}))"
    make = "r.make_environment(r.find_task('cube-single-play-singletask-task1-v0'))"
    code += f"; {make}; print(sorted({{'jax', 'robosuite'}} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n[]\n"


def test_no_name_is_taken_twice(toy):
    with pytest.raises(UserError, match="there is a benchmark 'toy' already"):
        driftpolicy.register(Toy())
    other = Toy()
    other.name = "other"
    with pytest.raises(UserError, match="there is a task 'toy-reach' already"):
        driftpolicy.register(other)


def test_data_are_claimed_at_a_glance(toy, tmp_path):
    for name, owner in (("toy-a.npz", "toy"), ("a.npz", "ogbench"), ("a.hdf5", "robomimic")):
        (tmp_path / name).touch()
        assert benchmark_of_data(tmp_path / name).name == owner
    assert benchmark_of_data(tmp_path / "none").name == "gymnasium"
