"""FQL's student between the flow and the critic."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from driftpolicy.agents import METHODS
from driftpolicy.agents.critic import Critic
from driftpolicy.networks import CriticEnsemble
from tests import statistical
from tests.agents.common import KEY, make_batch, minimise
from tests.compiling import ONCE

BEST = jnp.array([0.6, -0.4, 0.1, 0.3])


class Bowl(CriticEnsemble):
    """``Q(s, a) = -|a - a*|^2``."""

    def __init__(self):
        self.members = ()

    def __call__(self, observation, chunk):
        best = jnp.expand_dims(BEST, range(chunk.ndim - 1))
        value = -jnp.sum((chunk - best) ** 2, axis=-1)
        return jnp.broadcast_to(value, (2, *value.shape))


@pytest.mark.statistical
@pytest.mark.parametrize(
    "weight",
    [pytest.param(0.0, marks=pytest.mark.slow), 4.0, pytest.param(1e4, marks=pytest.mark.slow)],
)
def test_the_student_lies_between_the_flow_and_the_critics_best(weight):
    """With a quadratic ``Q``: ``mu = (w flow + a*) / (w + 1)``, ``w = alpha / S``.

    So the flow itself as alpha grows, the critic's argmax as alpha falls, and known between.
    """
    agent_class, config_class = METHODS["qc-fql"]
    config = config_class(
        chunk_length=2, actor_hidden=(64,), critic_hidden=(4,), distillation_weight=weight
    )
    agent = agent_class.create(config, 3, 2, KEY)
    critic = Critic(Bowl(), Bowl(), config)
    agent = dataclasses.replace(agent, critic=critic)
    batch = jax.tree.map(lambda a: jnp.repeat(a, 32, axis=0), make_batch())
    flow = agent.actor.flow

    def loss(student, key):
        actor = eqx.tree_at(lambda a: a.student, agent.actor, student)
        return agent.actor_loss(actor, batch, None, key)[0]

    student = minimise(loss, agent.actor.student, steps=2000, rate=1e-2)
    noise = jax.random.normal(statistical.key(1), (192, 5, 4))
    observation = batch.observation[:, None]
    taught = np.clip(np.asarray(flow.integrate(observation, noise)), -1, 1)
    expected = (weight / 4 * taught + np.asarray(BEST)) / (weight / 4 + 1)
    error = np.asarray(student(observation, noise)) - expected
    relative = np.sqrt(np.mean(error**2)) / np.std(taught)
    statistical.assert_within("error", relative, high=0.15)


def test_the_flow_learns_nothing_from_the_critic():
    """Its gradient is that of flow matching alone, whatever the weight and the critic."""
    batch, gradients = make_batch(), []
    for weight in (0.0, 100.0):
        agent_class, config_class = METHODS["qc-fql"]
        config = config_class(
            chunk_length=2, actor_hidden=(8,), critic_hidden=(8,), distillation_weight=weight
        )
        agent = agent_class.create(config, 3, 2, KEY)
        loss = lambda actor, agent=agent: agent.actor_loss(actor, batch, None, KEY)[0]  # noqa: E731
        gradient = jax.jit(jax.grad(loss), compiler_options=ONCE)(agent.actor)
        gradients.append(jax.tree.leaves(gradient.flow))
    for one, other in zip(*gradients, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)
