"""Positives that similar states share: the kernel, the draws, and what they do to a policy."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from driftpolicy.agents.base import window_valid
from driftpolicy.agents.forms import to_accelerator, to_storage
from driftpolicy.agents.neighbours import share_positives, similarity
from driftpolicy.drifting import drift_loss
from tests import statistical
from tests.agents.common import KEY, assert_same, make_batch, update
from tests.agents.test_contract import online
from tests.agents.test_dfp import create
from tests.compiling import ONCE

EVERY = jnp.ones(7, bool)


def states(seed=0, count=7, dim=3):
    return np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)


def reference(observation, used):
    """The formula, one pair after the other; a state that is not used is alone."""
    rows = [i for i in range(len(observation)) if used[i]]
    x = observation.astype(np.float64) / observation[rows].astype(np.float64).std(axis=0)
    squared = {(i, j): np.sum((x[i] - x[j]) ** 2) for i in rows for j in rows}
    h2 = np.median([min(squared[i, j] for j in rows if j != i) for i in rows])
    kernel = np.eye(len(x))
    for (i, j), d2 in squared.items():
        kernel[i, j] = max(0.0, 1 - d2 / h2)
    return kernel


@pytest.mark.parametrize("used", [[1, 1, 1, 1, 1, 1, 1], [1, 0, 1, 1, 1, 0, 1]])
def test_similarity_equals_the_loops(used):
    x = states()
    expected = reference(x, used)
    found = similarity(jnp.asarray(x), jnp.array(used, bool))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert np.any((expected > 0.01) & (expected < 1))


def test_similarity_has_no_units_and_no_place():
    x = states(1)
    changed = x * np.array([10.0, 0.1, -3.0]) + np.array([5.0, -1.0, 0.0])
    found = similarity(jnp.asarray(changed, jnp.float32), EVERY)
    np.testing.assert_allclose(found, similarity(jnp.asarray(x), EVERY), rtol=1e-3, atol=1e-4)


def test_no_state_beyond_the_typical_distance_counts():
    x = np.concatenate([states(2), 100 + states(3, count=1)])
    found = np.asarray(similarity(jnp.asarray(x), jnp.ones(8, bool)))
    np.testing.assert_array_equal(found[7], np.eye(8)[7])
    np.testing.assert_array_equal(found, found.T)
    # In half of the states nothing but the state itself does.
    others = (found - np.eye(8) > 0).any(axis=1)
    assert 1 <= others.sum() <= 4


def test_equal_states_are_one_state():
    x = np.repeat(states(4, count=3), [4, 3, 1], axis=0)
    x[:, 1] = 7.0  # and a number that never changes says nothing
    groups = np.repeat([0, 1, 2], [4, 3, 1])
    found = similarity(jnp.asarray(x), jnp.ones(8, bool))
    np.testing.assert_array_equal(found, groups[:, None] == groups)


def test_a_state_that_is_not_used_changes_nothing_and_is_alone():
    x = states()
    used = jnp.array([1, 1, 0, 1, 1, 1, 1], bool)
    expected = np.asarray(similarity(jnp.asarray(x), used))
    np.testing.assert_array_equal(expected[2], np.eye(7)[2])
    for junk in (1e6, np.nan, np.inf):
        x[2] = junk
        np.testing.assert_array_equal(similarity(jnp.asarray(x), used), expected)
    for few in (jnp.zeros(7, bool), jnp.arange(7) == 3):
        np.testing.assert_array_equal(similarity(jnp.asarray(states()), few), np.eye(7))


def drawn(observation, count, used=None, chunks=None, key=KEY):
    """Which state's chunk each positive is."""
    if chunks is None:
        chunks = jnp.arange(float(len(observation)))[:, None]
    used = jnp.ones(len(observation)) if used is None else used
    return np.asarray(
        jax.jit(share_positives, static_argnums=3)(
            jnp.asarray(observation), chunks, used, count, key=key
        )
    )[..., 0]


def test_the_first_positive_is_the_states_own():
    found = drawn(states(), 50)
    assert found.shape == (7, 50)
    np.testing.assert_array_equal(found[:, 0], np.arange(7))
    np.testing.assert_array_equal(drawn(states(), 1)[:, 0], np.arange(7))
    assert np.any(found[:, 1:] != np.arange(7)[:, None])


@pytest.mark.statistical
def test_positives_are_drawn_as_they_are_similar():
    x, draws = states(), 20_001
    found = drawn(x, draws, key=statistical.key(0))[:, 1:]
    kernel = reference(x, np.ones(7))
    expected = kernel / kernel.sum(axis=1, keepdims=True)
    share = np.stack([(found == j).mean(axis=1) for j in range(7)], axis=1)
    np.testing.assert_array_equal(share[expected == 0], 0.0)
    error = (share - expected) / np.sqrt(np.maximum(expected * (1 - expected), 1e-9) / (draws - 1))
    statistical.assert_within("deviations", np.abs(error[expected > 0]).max(), high=6.0)


def test_what_may_not_be_imitated_is_not_shared():
    x = np.ones((6, 2), np.float32)
    chunks = jnp.arange(6.0)[:, None].at[4].set(jnp.nan)
    found = drawn(x, 200, used=jnp.array([1.0, 1, 0, 1, 1, 0]), chunks=chunks)
    shared = set(np.unique(found[[0, 1, 3]]))
    assert shared == {0.0, 1.0, 3.0}
    assert np.isnan(found[4]).all()


def with_sharing(agent, count, **changes):
    config = dataclasses.replace(agent.config, shared_positives=count, **changes)
    return dataclasses.replace(agent, config=config)


def test_states_as_far_as_is_typical_keep_their_own_chunk():
    """Corners of a tetrahedron: none is nearer to any than the others are."""
    corners = np.array([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], np.float32)
    np.testing.assert_array_equal(drawn(corners, 50), np.arange(4)[:, None] * np.ones(50))


def test_the_cloning_drifts_to_the_shared_positives():
    """The loss written out, in a batch whose first three states are one."""
    agent, batch = with_sharing(create(), 4), make_batch()
    batch = batch._replace(observation=batch.observation.at[:3].set(batch.observation[0]))
    chunks, inside = batch.actions.reshape(6, 4), window_valid(batch)

    @partial(jax.jit, compiler_options=ONCE)
    def both(actor, key):
        sample_key, draw_key = jax.random.split(key)
        positives = share_positives(batch.observation, chunks, inside, 4, key=draw_key)

        def expected(actor):
            x = actor.sample(batch.observation, 3, key=sample_key)
            loss, _ = drift_loss(x[:4], positives[:4], temperatures=agent.config.temperatures)
            return jnp.mean(loss)

        loss = lambda actor: agent.actor_loss(actor, batch, None, key)[0]  # noqa: E731
        return positives, jax.grad(loss)(actor), jax.grad(expected)(actor)

    positives, got, want = both(agent.actor, KEY)
    assert np.any(positives[:3, 1:] != positives[:3, :1])
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4 * np.abs(b).max())


def test_windows_across_an_episodes_end_are_no_neighbours():
    batch, junk = make_batch(), make_batch(seed=1)
    agent = with_sharing(create(), 4)
    expected, _ = update(agent, batch, KEY)
    changed = batch._replace(
        observation=batch.observation.at[-2:].set(batch.observation[:2]),
        actions=batch.actions.at[-2:].set(junk.actions[-2:]),
    )
    after, _ = update(agent, changed, KEY)
    assert_same(after, expected)


def test_both_forms_share_alike():
    agent, batch = with_sharing(online("dfp"), 4), make_batch()
    expected, metrics = update(agent, batch, KEY)
    after, others = update(to_accelerator(agent), batch, KEY)
    leaves = jax.tree.leaves(to_storage(after)), jax.tree.leaves(expected)
    for one, other in zip(*leaves, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(others["bc_scale"], metrics["bc_scale"], rtol=1e-4)
