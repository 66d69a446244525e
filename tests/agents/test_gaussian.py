"""Behaviour cloning and IQL against known answers."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from driftpolicy.agents import METHODS
from driftpolicy.batch import Batch
from tests.agents.common import KEY, make_batch, minimise
from tests.statistical import assert_within


def test_log_density_is_the_normal_distributions():
    agent_class, config_class = METHODS["bc"]
    agent = agent_class.create(config_class(actor_hidden=(8,), critic_hidden=(8,)), 3, 2, KEY)
    policy = eqx.tree_at(lambda p: p.log_deviation, agent.actor, jnp.array([-1.0, 9.0]))
    batch = make_batch()
    action = batch.actions[:, 0]
    deviation = np.exp([-1.0, 2.0])  # 9 is beyond the range
    expected = norm.logpdf(action, policy(batch.observation), deviation).sum(axis=1)
    np.testing.assert_allclose(policy.log_density(batch.observation, action), expected, rtol=1e-5)


@pytest.mark.statistical
def test_samples_start_with_the_mean_and_spread_by_the_deviation():
    agent_class, config_class = METHODS["bc"]
    agent = agent_class.create(config_class(actor_hidden=(8,), critic_hidden=(8,)), 3, 2, KEY)
    policy = eqx.tree_at(lambda p: p.log_deviation, agent.actor, jnp.log(jnp.array([0.05, 0.1])))
    state = 0.1 * jnp.ones((1, 3))
    samples = np.asarray(policy.sample(state, 20_000, key=KEY))[0]
    mean = np.asarray(policy(state))[0]
    np.testing.assert_allclose(samples[0], mean, rtol=1e-5)
    deviation = np.array([0.05, 0.1])
    assert_within("mean", (samples.mean(axis=0) - mean) / deviation, -0.05, 0.05)
    assert_within("deviation", samples.std(axis=0) / deviation, 0.95, 1.05)


@pytest.mark.statistical
@pytest.mark.parametrize("expectile", [0.5, 0.9])
def test_the_value_is_the_expectile_and_the_policy_the_weighted_mean(expectile):
    """One state, ``Q(s, a)`` normal over the data's actions: both minimisers are known."""
    agent_class, config_class = METHODS["iql"]
    config = config_class(
        actor_hidden=(8,),
        critic_hidden=(8,),
        learning_rate=5e-3,
        expectile=expectile,
        advantage_temperature=0.5,
    )
    agent = agent_class.create(config, 1, 1, KEY)
    q = np.random.default_rng(0).normal(1.0, 0.8, 1024).astype(np.float32)
    action = (0.2 * (q - 1.0)).clip(-1, 1)
    ones = jnp.ones(1024)
    batch = Batch(
        ones[:, None], jnp.asarray(action)[:, None, None], ones, ones, ones[:, None], ones[:, None]
    )

    def loss(actor, key):
        return agent.actor_loss(actor, batch, jnp.asarray(q), key)[0]

    actor = minimise(loss, agent.actor, steps=1500, rate=1e-2)
    balance = lambda v: np.mean(np.where(q < v, 1 - expectile, expectile) * (q - v))  # noqa: E731
    value = brentq(balance, -3, 5)
    assert_within("value", actor.value(jnp.ones(1))[0] - value, -0.02, 0.02)
    weight = np.minimum(np.exp(0.5 * (q - value)), 100)
    expected = np.average(action, weights=weight)
    assert_within("policy", actor.policy(jnp.ones(1))[0] - expected, -0.01, 0.01)


def test_iql_backs_up_the_value_not_an_action():
    agent_class, config_class = METHODS["iql"]
    config = config_class(chunk_length=2, actor_hidden=(8,), critic_hidden=(8,))
    agent = agent_class.create(config, 3, 2, KEY)
    batch = make_batch()
    value = agent.actor.value(batch.next_observation)[:, 0]
    expected = batch.reward + 0.99**2 * batch.mask * value
    np.testing.assert_allclose(agent.backup(batch, KEY), expected, rtol=1e-5)
    broken = jax.tree.map(lambda a: a * jnp.nan, agent.critic)
    blind = dataclasses.replace(agent, critic=broken)
    np.testing.assert_allclose(blind.backup(batch, KEY), expected, rtol=1e-5)
