"""Evaluation: seeded by (seed, episode), one decision per chunk, any number of processes."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from driftpolicy.agents import DFP, DFPConfig
from driftpolicy.errors import UserError
from driftpolicy.tasks.registry import find_task
from driftpolicy.training.deciding import Decider
from driftpolicy.training.evaluation import (
    Episode,
    episode_seeds,
    evaluate,
    evaluation_workers,
    success_interval,
    summarise,
)

from .conftest import TASK


@pytest.fixture(scope="module")
def agent():
    config = DFPConfig(actor_hidden=(8,), critic_hidden=(8,), best_of=2)
    return DFP.create(config, 28, 5, jax.random.key(1))


@pytest.mark.slow
@pytest.mark.simulator
def test_processes_change_nothing_and_the_policy_is_asked_once_per_chunk(agent, monkeypatch):
    decisions = []
    decide, rule = Decider.__call__, agent.decision_rule

    def counted(*arguments):
        decisions.append(None)
        return decide(*arguments)

    def failing(*arguments):
        raise UserError("amid two episodes")

    monkeypatch.setattr(Decider, "__call__", counted)
    results = []
    for processes in (1, 2):
        with evaluation_workers(find_task(TASK), processes) as workers:
            key = jax.random.key(3)
            results.append(evaluate(rule, workers, seed=4, episodes=3, key=key))
            if processes == 2:  # again on the same workers, in whatever state they are
                results.append(evaluate(rule, workers, seed=4, episodes=3, key=key))
                other = evaluate(rule, workers, seed=5, episodes=3, key=key)
                monkeypatch.setattr(Decider, "__call__", failing)
                with pytest.raises(UserError, match="amid two episodes"):
                    evaluate(rule, workers, seed=5, episodes=3, key=key)
                monkeypatch.setattr(Decider, "__call__", counted)
                results.append(evaluate(rule, workers, seed=4, episodes=3, key=key))
    assert results[0] == results[1] == results[2] == results[3]
    assert all(isinstance(episode, Episode) for episode in results[0])
    chunks = sum(-(-episode.length // 5) for episode in results[0]) * 4
    chunks += sum(-(-episode.length // 5) for episode in other)
    assert len(decisions) == chunks  # nobody took the replies that the failure left for its own


def test_each_decision_is_the_agents_with_a_key_of_its_own(agent):
    rule = agent.decision_rule
    decide, key, observation = Decider(rule), jax.random.key(7), np.ones(28, np.float32)
    for i, noise in enumerate(itertools.islice(decide.noise(key, ahead=2), 5)):
        own = jax.random.fold_in(key, i)
        np.testing.assert_array_equal(noise, jax.random.normal(own, rule.noise_shape))
        chunk = jax.jit(lambda *given: rule(*given))(jnp.asarray(observation), noise)
        np.testing.assert_allclose(decide(observation, noise), chunk, rtol=1e-5, atol=1e-6)


def test_episodes_are_seeded_by_seed_and_number():
    assert episode_seeds(0, 5) == episode_seeds(0, 7)[:5]
    assert len(set(episode_seeds(0, 50)) | set(episode_seeds(1, 50))) == 100


def test_summary():
    episodes = [Episode(True, -10.0, 10), Episode(False, -30.0, 20)]
    assert summarise(episodes) == {
        "success": 0.5,
        "return": -20.0,
        "length": 15.0,
        "episodes": 2,
    }


def test_wilson_interval_against_the_textbook():
    low, high = success_interval(8, 10)
    np.testing.assert_allclose((low, high), (0.4901625, 0.9433178), atol=1e-6)
    assert success_interval(0, 10)[0] == 0.0
    assert success_interval(10, 10)[1] == 1.0
