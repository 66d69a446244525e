"""The form for accelerators is the same function, and comes back to the last bit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from driftpolicy.agents.forms import PackedMLP, to_accelerator, to_storage
from driftpolicy.networks import CriticEnsemble, round_weights

from .common import KEY, assert_same, make_batch, normal, update
from .test_contract import NAMES, online


@pytest.mark.parametrize("name", NAMES)
def test_both_forms_make_the_same_update(name):
    agent, batch = online(name), make_batch()
    fast = to_accelerator(agent)
    assert isinstance(fast.critic.online.members, PackedMLP)
    assert len(jax.tree.leaves(fast)) < len(jax.tree.leaves(agent))
    (expected, metrics), (after, others) = update(agent, batch, KEY), update(fast, batch, KEY)
    back = to_storage(after)
    assert jax.tree.structure(back) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(back), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    for name, value in metrics.items():
        np.testing.assert_allclose(others[name], value, rtol=1e-4, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("name", NAMES)
def test_there_and_back_changes_nothing(name):
    agent = online(name)
    back = to_storage(to_accelerator(agent))
    assert jax.tree.structure(back) == jax.tree.structure(agent)
    assert_same(back, agent)
    assert jax.tree.structure(to_storage(agent)) == jax.tree.structure(agent)
    again = to_accelerator(to_accelerator(agent))
    assert_same(again, to_accelerator(agent))


def test_the_plain_norm_is_the_folded_one_for_many_rows():
    """More rows than a decision's, where the storage form folds the norm into the weights."""
    critic = CriticEnsemble(3, 4, (16, 16), members=2, key=KEY)
    critic = jax.tree.map(lambda leaf: leaf + 0.1 * normal(*leaf.shape), critic)
    observation, chunk = normal(200, 3), normal(200, 4)
    folded, plain = critic(observation, chunk), to_accelerator(critic)(observation, chunk)
    assert folded.shape == (2, 200)
    np.testing.assert_allclose(folded, plain, rtol=1e-4, atol=1e-4)
    assert jnp.std(plain) > 0.1


@pytest.mark.parametrize("argument", ["parameters", "chunk"])
def test_both_forms_have_the_same_gradients(argument):
    """Parameters away from their start, where scales are one and offsets zero."""
    critic = CriticEnsemble(3, 4, (16, 16), members=2, key=KEY)
    critic = jax.tree.map(lambda leaf: leaf + 0.1 * normal(*leaf.shape), critic)
    observation, chunk = normal(200, 3), normal(200, 4)

    def loss(critic, chunk):
        return jnp.mean(critic(observation, chunk) ** 2)

    gradient = jax.grad(loss, argnums=0 if argument == "parameters" else 1)
    expected = gradient(critic, chunk)
    found = to_storage(gradient(to_accelerator(critic), chunk))
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


def test_both_forms_round_weights_alone():
    critic = CriticEnsemble(3, 4, (16, 16), members=2, key=KEY)
    rounded = to_storage(round_weights(to_accelerator(critic), jnp.bfloat16))
    expected = round_weights(critic, jnp.bfloat16)
    assert jax.tree.structure(rounded) == jax.tree.structure(expected)
    assert_same(rounded, expected)
    dtypes = {leaf.dtype for leaf in jax.tree.leaves(rounded)}
    assert dtypes == {jnp.dtype(jnp.bfloat16), jnp.dtype(jnp.float32)}
