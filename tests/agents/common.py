"""What the tests of the agents share: small problems, and quick compilation."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from driftpolicy.batch import Batch
from tests import statistical
from tests.compiling import LOOP, ONCE

KEY = statistical.key(7)


def make_batch(seed=0, size=6):
    """Windows of which the last two do not count: one cut, one ended by success within."""
    rng = np.random.default_rng(seed)
    valid, mask = np.ones((size, 2)), np.ones(size)
    valid[-2:, 1], mask[-1] = 0, 0
    batch = Batch(
        observation=rng.normal(size=(size, 3)),
        actions=rng.uniform(-1, 1, size=(size, 2, 2)),
        reward=rng.normal(size=size),
        mask=mask,
        next_observation=rng.normal(size=(size, 3)),
        valid=valid,
    )
    return jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), batch)


@partial(jax.jit, compiler_options=ONCE)
def update(agent, batch, key):
    return agent.update(batch, key)


@partial(jax.jit, compiler_options=ONCE)
def act(agent, observation, key):
    rule = agent.decision_rule
    return rule(observation, rule.draw_noise(key, observation.shape[:-1]))


def normal(*shape):
    return jnp.asarray(np.random.default_rng(3).normal(size=shape), jnp.float32)


def assert_same(a, b):
    for one, other in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(one, other)


def moved(a, b):
    """How far the parameters of two trees are apart."""
    leaves = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return max(float(jnp.abs(one - other).max()) for one, other in leaves)


def size(tree):
    """The sum of the magnitudes of all numbers."""
    return sum(float(jnp.sum(jnp.abs(leaf))) for leaf in jax.tree.leaves(tree))


# --- a bandit with two modes --------------------------------------------------------------------
#
# One state. The data hold two kinds of chunk, 0.7 near the one mode and 0.3 near the other, the
# better one. Next to them lie windows whose episode ended at once, of chunks from everywhere: with
# --terminal-windows keep they teach the critic the whole landscape, and they are never cloned.
# (Without them the critic is free to promise more outside of the data, and an anchor that moves
# fast follows it there: that is what the anchor's inertia is against.)
# The modes keep away from -1 and 1: a sample beyond is clipped, and has no gradient to return by.

MODES = np.array([[0.4, 0.1], [-0.4, -0.1]], np.float32)
CLONED, SHOWN = 48, 16


def value_of(chunk):
    """The bandit's reward, 1 at the better mode and 0.26 at the other."""
    return jnp.exp(-2 * jnp.sum((chunk - MODES[1:]) ** 2, axis=-1))


def pull(key):
    kind, noise, anywhere = jax.random.split(key, 3)
    better = jax.random.bernoulli(kind, 0.3, (CLONED, 1))
    near = jnp.where(better, MODES[1:], MODES[:1]) + 0.08 * jax.random.normal(noise, (CLONED, 2))
    chunk = jnp.concatenate([near, jax.random.uniform(anywhere, (SHOWN, 2), minval=-1.0)])
    state = jnp.ones((CLONED + SHOWN, 1))
    return Batch(
        observation=state,
        actions=chunk[..., None],
        reward=value_of(chunk),
        mask=jnp.zeros(CLONED + SHOWN),
        next_observation=state,
        valid=jnp.ones((CLONED + SHOWN, 2)).at[CLONED:, 1].set(0.0),
    )


def train(agent, key, steps):
    """``steps`` updates on fresh pulls."""

    def step(agent, key):
        return agent.update(pull(key), jax.random.fold_in(key, 1))[0], None

    return jax.lax.scan(step, agent, jax.random.split(key, steps))[0]


def minimise(loss, start, *, steps, rate):
    """Where Adam, its step size falling along a cosine, takes ``loss(parameters, key)``."""
    optimiser = optax.adam(optax.cosine_decay_schedule(rate, steps))

    @partial(jax.jit, compiler_options=LOOP)
    def fit(start):
        def step(carry, key):
            parameters, state = carry
            change, state = optimiser.update(jax.grad(loss)(parameters, key), state)
            return (eqx.apply_updates(parameters, change), state), None

        begin = (start, optimiser.init(start))
        return jax.lax.scan(step, begin, jax.random.split(KEY, steps))[0][0]

    return fit(start)
