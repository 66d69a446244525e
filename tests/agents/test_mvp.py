"""The mean velocity policy against fields whose answers are known."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from driftpolicy.agents import METHODS
from driftpolicy.agents.mvp import (
    MeanVelocity,
    draw_times,
    mean_velocity_and_target,
    mean_velocity_errors,
)
from driftpolicy.agents.scoring import score, top_k
from driftpolicy.networks import VelocityField
from tests import statistical
from tests.agents.common import KEY, make_batch, minimise
from tests.compiling import ONCE
from tests.statistical import assert_within

MEAN, DEVIATION = 0.3, 0.4


class GaussianMeanVelocity(MeanVelocity):
    """The exact ``u`` for ``a ~ N(m, s^2)``: trajectories keep their quantile.

    ``z_t = (1 - t) m + sigma_t n`` with ``sigma_t^2 = (1 - t)^2 s^2 + t^2``, so
    ``u(z, r, t) = (z - z_r) / (t - r)``, and at ``t = r`` its limit, the velocity.
    """

    shift: float

    def __init__(self, shift=0.0):
        self.velocity, self.shift = None, shift

    def __call__(self, observation, z, r, t):
        sigma = lambda t: jnp.sqrt((1 - t) ** 2 * DEVIATION**2 + t**2)  # noqa: E731
        n = (z - (1 - t) * MEAN) / sigma(t)
        z_r = (1 - r) * MEAN + sigma(r) * n
        apart = jnp.where(t == r, 1.0, t - r)
        velocity = -MEAN + n * (t - (1 - t) * DEVIATION**2) / sigma(t)
        return jnp.where(t == r, velocity, (z - z_r) / apart) + self.shift


def draw(size):
    keys = jax.random.split(KEY, 3)
    action = MEAN + DEVIATION * jax.random.normal(keys[0], (size, 1))
    noise = jax.random.normal(keys[1], (size, 1))
    r, t = draw_times((size,), key=keys[2])
    return action, noise, r, t


def test_the_identity_holds_for_the_exact_mean_velocity():
    """Along the marginal velocity it is an equation at every point."""
    _, z, r, t = draw(500)
    field = GaussianMeanVelocity()
    none = jnp.zeros((500, 0))
    velocity = field(none, z, t, t)
    mean, target = mean_velocity_and_target(field, none, z, r, t, velocity)
    far = np.asarray(t - r)[:, 0] > 0.05  # closer, float32 cancels in (z - z_r) / (t - r)
    assert far.sum() > 300
    np.testing.assert_allclose(mean[far], target[far], rtol=1e-3, atol=1e-3)


@pytest.mark.statistical
def test_the_exact_mean_velocity_is_what_the_loss_asks_for():
    """Along the data's velocities the identity and IVC hold on average, at every ``z``."""
    action, noise, r, t = draw(200_000)
    field, v = GaussianMeanVelocity(), noise - action
    none = jnp.zeros((200_000, 0))
    far = np.asarray(t - r)[:, 0] > 0.05
    mean, target = mean_velocity_and_target(field, none, action + t * v, r, t, v)
    for at, residual in (
        (action + t * v, (mean - target)[far]),
        (action + r * v, field(none, action + r * v, r, r) - v),
    ):
        at = np.asarray(at)[far] if len(residual) < len(at) else np.asarray(at)
        for feature in (np.ones_like(at), at, at**2):
            product = np.asarray(residual) * feature
            error = product.mean() / (product.std() / np.sqrt(len(product)))
            assert_within("standard errors", error, -7, 7)


def test_the_derivative_is_that_of_finite_differences():
    key_a, key_b = jax.random.split(KEY)
    network = VelocityField(3, 4, (16, 16), times=2, key=key_a)
    field = MeanVelocity(network)
    batch = make_batch()
    z, v = jax.random.normal(key_b, (2, 6, 4))
    r, t = jnp.full((6, 1), 0.2), jnp.linspace(0.4, 0.9, 6)[:, None]
    mean, target = mean_velocity_and_target(field, batch.observation, z, r, t, v)
    np.testing.assert_allclose(mean, field(batch.observation, z, r, t), rtol=1e-5, atol=1e-6)
    h = 1e-2
    ahead, behind = (
        np.asarray(field(batch.observation, z + s * v, r, t + s), np.float64) for s in (h, -h)
    )
    expected = (
        np.asarray(v - (t - r)) * 0
        + np.asarray(v)
        - np.asarray(t - r) * ((ahead - behind) / (2 * h))
    )
    np.testing.assert_allclose(target, expected, atol=2e-3)


@pytest.mark.statistical
def test_the_constraint_pins_the_boundary():
    """A field off by a constant at ``t = r`` pays the square of it, and only there."""
    action = MEAN + DEVIATION * jax.random.normal(KEY, (200_000, 1))
    none = jnp.zeros((200_000, 0))
    _, exact = mean_velocity_errors(GaussianMeanVelocity(), none, action, KEY)
    _, off = mean_velocity_errors(GaussianMeanVelocity(shift=0.5), none, action, KEY)
    assert_within("raised", jnp.mean(off) - jnp.mean(exact), 0.24, 0.26)


@pytest.mark.statistical
def test_times_are_two_sorted_logit_normals():
    r, t = draw_times((100_000,), key=KEY)
    assert np.all(r <= t)
    both = np.concatenate([np.asarray(r), np.asarray(t)])
    assert 0 < both.min() < both.max() < 1
    logits = np.log(both) - np.log1p(-both)
    assert_within("mean", logits.mean(), -0.415, -0.385)
    assert_within("deviation", logits.std(), 0.985, 1.015)


@pytest.mark.slow
@pytest.mark.statistical
def test_one_step_samples_match_the_data():
    """Two modes of weights 0.7 and 0.3: Wasserstein-1 distance below 0.13 (of noise: 0.37)."""
    field = MeanVelocity(VelocityField(1, 1, (64, 64), times=2, key=KEY))

    def data(key, size):
        kind, noise = jax.random.split(key)
        mode = jnp.where(jax.random.bernoulli(kind, 0.3, (size, 1)), -0.5, 0.4)
        return mode + 0.1 * jax.random.normal(noise, (size, 1))

    def loss(field, key):
        data_key, loss_key = jax.random.split(key)
        action = data(data_key, 256)
        errors = mean_velocity_errors(field, jnp.ones((256, 1)), action, loss_key)
        return jnp.mean(errors[0]) + jnp.mean(errors[1])

    field = minimise(loss, field, steps=3000, rate=5e-3)
    truth = np.asarray(data(statistical.key(5), 10_000))[:, 0]
    samples = field.sample(jnp.ones(1), 10_000, key=statistical.key(6))[:, 0]
    noise = np.clip(jax.random.normal(KEY, 10_000), -1, 1)
    assert wasserstein_distance(truth, noise) > 0.3
    distance = wasserstein_distance(truth, np.asarray(samples))
    assert_within("distance", distance, high=0.13)
    assert_within("low", np.mean(np.asarray(samples) < 0), 0.2, 0.4)


class Recorder(MeanVelocity):
    """A field that remembers where it was asked outside of the derivative."""

    asked: list

    def __init__(self):
        self.velocity, self.asked = None, []

    def __call__(self, observation, z, r, t):
        if not isinstance(z, jax.core.Tracer):
            self.asked.append(jax.tree.map(np.asarray, (z, r, t)))
        return jnp.zeros_like(z)


def test_each_target_has_its_own_noise_and_times():
    """The positives of a state are K rows of their own, even where they are equal."""
    recorder = Recorder()
    action = jnp.full((4, 5, 2), 0.25)  # K = 5 equal targets in each of 4 states
    errors, _ = mean_velocity_errors(recorder, jnp.ones((4, 1, 3)), action, KEY)
    ((z, r, _),) = recorder.asked
    noise = (z - (1 - r) * 0.25) / r
    for drawn in (r, noise, errors):
        assert len(np.unique(np.asarray(drawn).round(5))) == drawn.size
    # Each number of the noise is the one whose velocity the errors are about.
    np.testing.assert_allclose(errors, (noise - 0.25) ** 2, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_top_k_is_one_more_regression_of_weight_lambda(weight):
    agent_class, config_class = METHODS["mvp-topk"]
    config = config_class(
        chunk_length=2,
        actor_hidden=(8,),
        critic_hidden=(8,),
        candidates=5,
        positives=2,
        improvement_weight=weight,
        constraint_weight=0.25,
    )
    agent = agent_class.create(config, 3, 2, KEY)
    other = agent_class.create(config, 3, 2, jax.random.key(1))
    agent = dataclasses.replace(agent.start_online(), anchor=other.actor)
    batch = make_batch()
    batch = batch._replace(valid=jnp.ones((6, 2)))

    @partial(jax.jit, compiler_options=ONCE)
    def loss_of(agent):
        guidance = agent.guidance(batch, batch.reward, jax.random.key(2))
        return guidance, *agent.actor_loss(agent.actor, batch, guidance, KEY)

    @partial(jax.jit, compiler_options=ONCE)
    def regression(actor, observation, action, key):
        errors = mean_velocity_errors(actor, observation, action, key)
        return jnp.mean(errors[0]) + 0.25 * jnp.mean(errors[1])

    guidance, loss, metrics = loss_of(agent)
    data_key, positive_key = jax.random.split(KEY)
    actions = batch.actions.reshape(6, 4)
    expected = regression(agent.actor, batch.observation, actions, data_key)
    if weight == 0:
        assert guidance is None
        assert np.isnan(metrics["improvement_loss"])
    else:

        @partial(jax.jit, compiler_options=ONCE)
        def chosen(actor, critic):
            candidates = actor.sample(batch.observation, 5, key=jax.random.key(2))
            values = score(critic.config, critic.online, batch.observation, candidates)
            return top_k(values, candidates, 2)

        best = chosen(other.actor, agent.critic)
        np.testing.assert_allclose(guidance[0], best, rtol=1e-5, atol=1e-6)
        expected += weight * regression(agent.actor, batch.observation[:, None], best, positive_key)
    np.testing.assert_allclose(loss, expected, rtol=1e-4)
