"""The layout of observations against the simulators themselves; observations of prior data."""

import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs onnx: uv sync --extra export")

from driftpolicy.cli import main
from driftpolicy.deploy import Policy
from driftpolicy.tasks.benchmark import Parts
from driftpolicy.tasks.custom import plain
from driftpolicy.tasks.custom.tasks import custom_task
from driftpolicy.tasks.ogbench.environment import make_simulator, reset_simulator
from driftpolicy.tasks.registry import all_tasks, benchmark_of, find_task
from driftpolicy.tasks.task import Task

FAMILIES = sorted({task.family for task in all_tasks().values() if task.benchmark == "ogbench"})
CENTRE, SCALE = np.array([0.425, 0.0, 0.0]), 10.0


def parts_of(task: Task, dim: int) -> Parts | None:
    return benchmark_of(task).observation_parts(task, dim)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_layout_is_the_simulators(family):
    """Each part holds what the simulator's ``info`` has under its name."""
    task = find_task(f"{family}-play-singletask-task1-v0")
    simulator = make_simulator(task.environment)
    observation, _ = reset_simulator(simulator, 3)
    observation, *_ = simulator.step(np.full(5, 0.3))
    parts = parts_of(task, len(observation))
    assert parts is not None
    cuts = np.cumsum([size for _, size in parts])
    assert cuts[-1] == len(observation)
    seen = dict(zip((n for n, _ in parts), np.split(observation, cuts[:-1]), strict=True))
    assert len(seen) == len(parts)
    info = {name.split("/")[-1]: value for name, value in simulator.compute_ob_info().items()}
    compared = 0
    for name, value in seen.items():
        if name.endswith("_cos"):
            told = np.cos(info[name.removesuffix("_cos")])
        elif name.endswith("_sin"):
            told = np.sin(info[name.removesuffix("_sin")])
        elif name.endswith("_state"):
            told = np.eye(2)[int(np.squeeze(info[name]))]
        else:
            told = info[name]
        if name == "effector_pos" or (name.startswith("block") and name.endswith("_pos")):
            told = SCALE * (told - CENTRE)
        factors = {"gripper_opening": 3.0, "drawer_pos": 18.0, "window_pos": 15.0}
        factor = 120.0 if name.startswith("button") and name.endswith("_pos") else 1.0
        told = factors.get(name, factor) * np.asarray(told)
        np.testing.assert_allclose(value, np.reshape(told, value.shape), atol=1e-9, err_msg=name)
        compared += value.size
    assert compared == len(observation)


def test_no_layout_is_claimed_that_does_not_fit():
    assert parts_of(find_task("cube-double-play-singletask-task1-v0"), 36) is None
    assert parts_of(custom_task("Pendulum-v1"), 3) is None
    parts = parts_of(find_task("lift-mh-low_dim"), 19)
    assert parts is not None
    assert sum(size for _, size in parts) == 19
    assert parts[-1] == ["object", 10]


QUICK = [
    *("--offline-steps", "2", "--online-steps", "0", "--eval-every", "2", "--eval-episodes", "1"),
    *("--actor-hidden", "8", "--critic-hidden", "8", "--batch-size", "4", "--generated", "2"),
    *("--candidates", "4", "--positives", "2", "--best-of", "2", "--no-video", "--processes", "1"),
]


@pytest.mark.slow
def test_a_run_of_recordings_alone_is_compared_where_they_are(tmp_path, capsys):
    rng = np.random.default_rng(0)
    episodes = [
        {
            "observations": rng.uniform(-1, 1, (12, 3)) * [1, 1, 8],
            "actions": rng.uniform(-2, 2, (11, 1)),
            "rewards": rng.normal(size=11),
        }
        for _ in range(4)
    ]
    data, run, model = (str(tmp_path / name) for name in ("a.npz", "run", "policy.onnx"))
    plain.write(tmp_path / "a.npz", episodes, control_rate=20.0)
    own = ["--env", "Pendulum-v1", "--success-return", "-200", "--normalise-observations"]
    assert main(["train", *own, "--data", data, "--run", run, *QUICK]) == 0
    capsys.readouterr()
    assert main(["export", run, model, "--states", "20"]) == 0
    assert "in 20 states of the prior data: largest" in capsys.readouterr().out
    m = Policy(model).metadata
    rows = np.concatenate([episode["observations"] for episode in episodes])
    np.testing.assert_allclose(m.observation_low or [], rows.min(axis=0), atol=1e-4)
    np.testing.assert_allclose(m.observation_high or [], rows.max(axis=0), atol=1e-4)

    # Other data under the same name are not the run's.
    plain.write(tmp_path / "a.npz", episodes[:3], control_rate=20.0)
    assert main(["export", run, model, "--states", "20"]) == 0
    assert "in 20 states drawn at random: largest" in capsys.readouterr().out
    assert Policy(model).metadata.observation_low is None
