"""Behaviour flow and best-of-n against known answers."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from driftpolicy.agents import METHODS
from driftpolicy.agents.flow import BehaviourFlow, flow_matching_loss
from driftpolicy.batch import Batch
from driftpolicy.networks import CriticEnsemble, VelocityField
from tests import statistical
from tests.agents.common import KEY, act, make_batch, minimise
from tests.statistical import assert_within

MEAN, DEVIATION = jnp.array([0.3, -0.2]), jnp.array([0.2, 0.5])


class GaussianVelocity(VelocityField):
    """``E[a - eps | x_t = x]`` for ``a ~ N(m, s^2)``: its flow carries ``eps`` to ``m + s eps``.

    Off by ``shift + tilt t x`` if asked.
    """

    shift: float = 0.0
    tilt: float = 0.0

    def __init__(self, shift=0.0, tilt=0.0):
        self.mlp, self.chunk_dim, self.shift, self.tilt = None, 2, shift, tilt

    def __call__(self, observation, x, time):
        variance = (1 - time) ** 2 + time**2 * DEVIATION[None] ** 2
        slope = (time * DEVIATION[None] ** 2 - (1 - time)) / variance
        exact = MEAN[None] + slope * (x - time * MEAN[None])
        return exact + self.shift + self.tilt * time * x


def gaussian_batch(key, size=256):
    action = MEAN[None] + DEVIATION[None] * jax.random.normal(key, (size, 2))
    state, ones = jnp.ones((size, 1)), jnp.ones(size)
    return Batch(state, action[..., None], ones, ones, state, jnp.ones((size, 2)))


@pytest.mark.statistical
def test_euler_is_of_first_order():
    noise = jax.random.normal(KEY, (200, 2))
    exact = MEAN[None] + DEVIATION[None] * noise
    errors = []
    for steps in (10, 20, 40, 80):
        flow = BehaviourFlow(GaussianVelocity(), steps)
        errors.append(float(jnp.abs(flow.integrate(jnp.ones((200, 1)), noise) - exact).mean()))
    orders = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    assert_within("first orders", orders[:-1] - 1, -0.15, 0.15)
    assert_within("last order", orders[-1] - 1, -0.05, 0.05)


@pytest.mark.statistical
def test_the_exact_velocity_is_stationary_for_the_loss():
    """Shifting, tilting or delaying the known field raises the loss by the square of the change."""
    batch = gaussian_batch(KEY, 200_000)

    least = flow_matching_loss(GaussianVelocity(), batch, KEY)
    for size in (-0.3, 0.3):
        raised = flow_matching_loss(GaussianVelocity(shift=size), batch, KEY) - least
        assert_within(f"shifted by {size}", raised, 0.084, 0.096)
        raised = flow_matching_loss(GaussianVelocity(tilt=size), batch, KEY) - least
        assert_within(f"tilted by {size}", raised, low=0.002)


@pytest.mark.slow
@pytest.mark.statistical
def test_flow_matching_recovers_a_gaussian():
    """Mean and deviation of the samples near the data's, and no correlation."""
    field = VelocityField(1, 2, (64, 64), key=KEY)

    def loss(field, key):
        data_key, loss_key = jax.random.split(key)
        return flow_matching_loss(field, gaussian_batch(data_key), loss_key)

    flow = BehaviourFlow(minimise(loss, field, steps=1500, rate=1e-2), 20)
    noise = jax.random.normal(statistical.key(1), (20_000, 2))
    samples = np.asarray(flow.integrate(jnp.ones((20_000, 1)), noise))
    assert_within("mean", samples.mean(axis=0) - MEAN, -0.04, 0.04)
    assert_within("deviation", samples.std(axis=0) - DEVIATION, -0.08, 0.08)
    assert_within("correlation", np.corrcoef(samples.T)[0, 1], -0.06, 0.06)
    clipped = flow.sample(jnp.ones((5, 1)), 2000, key=KEY)
    assert np.abs(clipped).max() == 1.0  # 0.5 is wide enough to reach the end


def test_only_valid_steps_count():
    field = VelocityField(3, 4, (8,), key=KEY)
    batch = make_batch()
    weight = np.repeat(np.asarray(batch.valid), 2, axis=1)
    action = batch.actions.reshape(6, 4)
    noise_key, time_key = jax.random.split(KEY)
    noise = jax.random.normal(noise_key, (6, 4))
    time = jax.random.uniform(time_key, (6, 1))
    error = field(batch.observation, (1 - time) * noise + time * action, time) - (action - noise)
    expected = np.average(np.asarray(error) ** 2, weights=weight)
    np.testing.assert_allclose(flow_matching_loss(field, batch, KEY), expected, rtol=1e-5)


# --- best of n ---------------------------------------------------------------------------------


class Normal(eqx.Module):
    """A policy of one number, standard normal in all states."""

    noise_dim = 1

    def push(self, observation, noise):
        return noise


class Identity(CriticEnsemble):
    """A critic who says that an action is worth what it is."""

    def __init__(self):
        self.members = ()

    def __call__(self, observation, chunk):
        return jnp.broadcast_to(chunk[..., 0], (2, *chunk.shape[:-1]))


@pytest.mark.statistical
@pytest.mark.parametrize("count", [1, 4, 16, 32])
def test_best_of_n_is_worth_the_largest_order_statistic(count):
    """``E[max of n draws of N(0, 1)]``, for the decision and for the critic's target."""
    agent_class, config_class = METHODS["bfn"]
    config = config_class(actor_hidden=(4,), critic_hidden=(4,), best_of=count)
    agent = agent_class.create(config, 1, 1, KEY)
    critic = dataclasses.replace(agent.critic, online=Identity(), target=Identity())
    agent = dataclasses.replace(agent, actor=Normal(), critic=critic)
    line = np.linspace(-8, 8, 40_001)
    expected = np.trapezoid(line * count * norm.pdf(line) * norm.cdf(line) ** (count - 1), line)
    state = jnp.ones((20_000, 1))
    assert_within("decision", np.mean(act(agent, state, KEY)) - expected, -0.04, 0.04)
    ones = jnp.ones(20_000)
    batch = Batch(state, ones[:, None, None], 0.5 * ones, ones, state, ones[:, None])
    backup = np.mean(agent.backup(batch, KEY))
    assert_within("backup", backup - (0.5 + 0.99 * expected), -0.04, 0.04)
