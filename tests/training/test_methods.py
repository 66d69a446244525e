"""Every kind of method through the same loops: trained, interrupted, resumed, evaluated, drawn."""

import numpy as np
import pytest

from driftpolicy import load_policy
from driftpolicy.runs import Run
from driftpolicy.runs.curves import plot_curves

from .conftest import assert_same_run, run_to_end, tiny

pytestmark = [pytest.mark.slow, pytest.mark.simulator]


@pytest.mark.parametrize("method", ["qc-fql", "mvp-topk"])
def test_a_method_is_one_word(data_file, dataset, workers, tmp_path, method):
    config = tiny(data_file, method, offline_steps=20, online_steps=30, eval_episodes=1)
    folder, trainer, _ = run_to_end(config, tmp_path / "whole", dataset, workers)
    points = iter([2, 1, 4])
    left = [next(points)]

    def stop():
        left[0] -= 1
        if left[0] < 0:
            left[0] = next(points, 1000)
            return True
        return False

    again, resumed, starts = run_to_end(config, tmp_path / "stopped", dataset, workers, stop)
    assert starts == 4
    assert_same_run((again, resumed), (folder, trainer))
    run = Run(folder.path)
    assert [(evaluation.step, evaluation.phase) for evaluation in run.evaluations] == [
        (20, "offline"),
        (50, "online"),
    ]
    assert (run.training.metrics["critic_loss"][:3] > 0).all()
    plot_curves(run, title=method, out=folder.curves)
    assert folder.curves.stat().st_size > 10_000
    policy = load_policy(folder.path)
    chunk = policy.act(np.zeros(policy.observation_dim), seed=0)
    assert chunk.shape == (config.agent.chunk_length, 5)


def test_pure_offline_rl_improves_from_the_first_step(data_file, dataset, workers, tmp_path):
    config = tiny(
        data_file, phase="offline-rl", offline_steps=30, online_steps=0, chunk_length=1, best_of=1
    )
    folder, trainer, _ = run_to_end(config, tmp_path / "run", dataset, workers)
    training = Run(folder.path).training
    assert set(training.phases) == {"offline"}
    assert (training.metrics["improvement_loss"] > 0).all()
    assert trainer.agent.anchor is not None
    stopped = iter([False, True])
    again, resumed, starts = run_to_end(
        config, tmp_path / "again", dataset, workers, stop=lambda: next(stopped, False)
    )
    assert starts == 2
    assert_same_run((again, resumed), (folder, trainer))
