"""Damaged files of the benchmarks: refused in one line, or read as the intact file says."""

import functools
import json

import numpy as np
import pytest

from driftpolicy.data.files import read_npz, write_npz
from driftpolicy.errors import UserError
from driftpolicy.tasks.benchmark import LoadOptions
from driftpolicy.tasks.ogbench import dataset as ogbench
from driftpolicy.tasks.ogbench.benchmark import OGBench
from driftpolicy.tasks.ogbench.environment import make_simulator
from driftpolicy.tasks.registry import find_task
from driftpolicy.tasks.robomimic.benchmark import Robomimic
from tests.fuzz.mutations import mutate_arrays, mutate_bytes, mutate_json
from tests.tasks.robomimic.conftest import without_robosuite as without_robosuite

CUBE = find_task("cube-single-play-singletask-task1-v0")
LIFT = find_task("lift-ph-low_dim")
FEW, MANY = range(6), range(100, 160)


@pytest.fixture(autouse=True)
def _one_simulator(monkeypatch):
    monkeypatch.setattr(ogbench, "make_simulator", functools.cache(make_simulator))


def outcome(benchmark, task, path):
    """Return what is read of a file, inspected as well; None where it is refused in one line."""
    try:
        benchmark.inspect(str(path), task)
        loaded = benchmark.load_data(task, path, LoadOptions())
        lines = []
        benchmark.load_data(task, path, LoadOptions(skip_broken=True, warn=lines.append))
        assert lines == []
        return loaded.prior.rows
    except UserError as error:
        return None if "\n" not in str(error) else pytest.fail(str(error))


def intact_ogbench(path):
    """Write two episodes in which nothing moves."""
    rng = np.random.default_rng(0)
    qpos = np.zeros((22, 21), np.float32)
    qpos[:, 17] = 1.0
    arrays = {
        "observations": rng.normal(size=(22, 28)).astype(np.float32),
        "actions": rng.uniform(-1, 1, (22, 5)).astype(np.float32),
        "terminals": np.isin(np.arange(22), [10, 21]).astype(np.float32),
        "qpos": qpos,
        "qvel": np.zeros((22, 20), np.float32),
        "metadata": np.array(json.dumps({"origin": "collected", "scene": "cube-single"})),
    }
    write_npz(path, arrays)
    return path


@pytest.mark.parametrize("seeds", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
def test_ogbench(seeds, tmp_path):
    intact = intact_ogbench(tmp_path / "intact.npz")
    expected = outcome(OGBench(), CUBE, intact)
    assert expected is not None
    refused = 0
    for seed in seeds:
        rng = np.random.default_rng(seed)
        path = tmp_path / f"{seed}.npz"
        if seed % 2:
            what, content = mutate_bytes(intact.read_bytes(), rng)
            path.write_bytes(content)
        else:
            arrays = read_npz(intact)
            words = {"metadata": arrays.pop("metadata")}
            what, arrays = mutate_arrays(arrays, rng)
            write_npz(path, arrays | words)
        found = outcome(OGBench(), CUBE, path)
        refused += found is None
        if found is not None and seed % 2:
            for ours, theirs in zip(found, expected, strict=True):
                np.testing.assert_array_equal(ours, theirs, err_msg=what)
    assert refused > len(seeds) // 2


@pytest.mark.usefixtures("without_robosuite")
@pytest.mark.parametrize("seeds", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
def test_robomimic(seeds, tmp_path):
    h5py = pytest.importorskip("h5py", reason="needs h5py: uv sync --extra robomimic")
    from tests.tasks.robomimic.test_checks import demonstrations

    refused = 0
    for seed in seeds:
        rng = np.random.default_rng(seed)
        path = tmp_path / f"{seed}.hdf5"
        if seed % 3 == 0:
            demonstrations(path, lambda number, arrays, rng=rng: mutate(number, arrays, rng))
        else:
            demonstrations(path)
        if seed % 3 == 1:
            path.write_bytes(mutate_bytes(path.read_bytes(), rng)[1])
        if seed % 3 == 2:
            with h5py.File(path, "a") as file:
                stated = json.loads(file["data"].attrs["env_args"])
                file["data"].attrs["env_args"] = json.dumps(mutate_json(stated, rng)[1])
        refused += outcome(Robomimic(), LIFT, path) is None
    assert refused


def mutate(number, arrays, rng):
    """Damage the arrays of one of the demonstrations."""
    if number == 2:
        _, changed = mutate_arrays(arrays, rng)
        arrays.clear()
        arrays.update({n: v.astype("S") if v.dtype.kind in "UM" else v for n, v in changed.items()})
