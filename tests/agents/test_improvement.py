"""Options beyond the paper of how much improvement there is, and how fast its anchor follows."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from driftpolicy.agents import METHODS
from driftpolicy.agents.actor_critic import rate_over
from driftpolicy.agents.forms import to_accelerator, to_storage
from driftpolicy.agents.numbers import update as update_with
from driftpolicy.agents.numbers import with_config
from driftpolicy.runs.trees import restore_tree, tree_arrays

from .common import KEY, assert_same, make_batch, moved, update
from .test_contract import create, online, small_config

IMPROVING = ["dfp", pytest.param("mvp-topk", marks=pytest.mark.slow)]


def configured(agent, **changes):
    return with_config(agent, dataclasses.replace(agent.config, **changes))


def assert_close(a, b, atol=1e-6):
    for one, other in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=atol)


# --- schedules of another length ----------------------------------------------------------------


@pytest.mark.parametrize("steps", [6_000, 20_000, 1_000_000, 3_000_000])
def test_a_run_of_any_length_takes_the_anchor_as_far(steps):
    """What is left of the way after all its updates is what a million leave at the given rate."""
    for rate in (1e-7, 1e-6, 1e-4):
        per_update = np.float64(rate_over(steps, rate))
        left, published = steps * np.log1p(-per_update), 1e6 * np.log1p(-rate)
        np.testing.assert_allclose(left, published, rtol=1e-5)
    np.testing.assert_array_equal([rate_over(steps, rate) for rate in (0.0, 1.0)], [0.0, 1.0])


def test_the_published_length_takes_the_published_rate():
    np.testing.assert_allclose(rate_over(1_000_000, 1e-4), 1e-4, rtol=1e-6)
    np.testing.assert_allclose(rate_over(20_000, 1e-4), 1 - (1 - 1e-4) ** 50, rtol=1e-5)


@pytest.mark.parametrize("name", IMPROVING)
def test_the_anchor_follows_at_the_rate_of_its_length(name):
    agent = configured(online(name), anchor_rate=1e-6, anchor_steps=4)
    after, _ = update(agent, make_batch(), KEY)
    left = (1 - 1e-6) ** 250_000
    np.testing.assert_allclose(left, 0.779, rtol=1e-3)
    expected = jax.tree.map(lambda o, n: left * o + (1 - left) * n, agent.anchor, after.actor)
    assert_close(after.anchor, expected)


@pytest.mark.parametrize("name", IMPROVING)
def test_lambda_rises_along_a_line_from_the_switch(name):
    """The n-th online update has n quarters of lambda; updates before the switch do not count."""
    config = small_config(name, improvement_weight=3.0, ramp_steps=4)
    agent, batch = create(name, config, KEY), make_batch()
    for _ in range(2):
        agent, _ = update(agent, batch, KEY)
    agent = agent.start_online()
    for share in (0.25, 0.5, 0.75, 1.0, 1.0):
        plain = dataclasses.replace(agent, switched=None)
        plain = configured(plain, ramp_steps=0, improvement_weight=3.0 * share)
        np.testing.assert_allclose(agent.improvement_weight, 3.0 * share)
        agent, metrics = update(agent, batch, KEY)
        expected, others = update(plain, batch, KEY)
        assert_close(agent.actor, expected.actor)
        np.testing.assert_allclose(metrics["loss"], others["loss"], rtol=1e-5)


def test_without_a_ramp_the_agent_holds_nothing_more():
    agent = create("dfp", small_config("dfp"), KEY)
    assert agent.start_online().switched is None
    assert not any("switched" in name for name in tree_arrays(agent.start_online()))


def test_a_ramp_goes_on_after_a_checkpoint(tmp_path):
    config = small_config("dfp", ramp_steps=4)
    begin = create("dfp", config, KEY)
    agent, _ = update(begin, make_batch(), KEY)
    agent, _ = update(agent.start_online(), make_batch(), KEY)
    arrays = {key: np.asarray(value) for key, value in tree_arrays(agent).items()}
    restored = restore_tree(jax.eval_shape(begin.start_online), arrays, tmp_path)
    assert restored.improvement_weight == agent.improvement_weight == 0.25  # half of 0.5
    assert_same(update(restored, make_batch(1), KEY), update(agent, make_batch(1), KEY))


@pytest.mark.parametrize("name", IMPROVING)
def test_runs_of_several_numbers_are_one_program(name):
    """In the form for accelerators, stacked before the switch, as each is alone."""
    numbers = {"improvement_weight": [0.5, 2.0], "anchor_rate": [1e-7, 1e-6]}
    config = small_config(name, ramp_steps=3, anchor_steps=5)
    agent, batch = create(name, config, KEY), make_batch()
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[to_accelerator(agent)] * 2)
    stacked = stacked.start_online()

    @jax.jit
    @partial(jax.vmap, in_axes=(0, 0, None, None))
    def step(agents, numbers, batch, key):
        return update_with(agents, numbers, batch, key)

    given = {name: jnp.array(values, jnp.float32) for name, values in numbers.items()}
    for _ in range(2):
        stacked, _ = step(stacked, given, batch, KEY)
    for i in range(2):
        one = {name: values[i] for name, values in numbers.items()}
        alone = configured(agent, **one).start_online()
        for _ in range(2):
            alone, _ = update(alone, batch, KEY)
        found = to_storage(jax.tree.map(lambda leaf, i=i: leaf[i], stacked))
        assert_close(found.anchor, alone.anchor, atol=1e-4)
        assert_close(found.actor, alone.actor, atol=1e-4)
    assert moved(*(jax.tree.map(lambda leaf, i=i: leaf[i], stacked.actor) for i in (0, 1))) > 1e-3


def test_every_method_is_without_them_unless_asked():
    for method in METHODS.values():
        for name in ("ramp_steps", "anchor_steps"):
            assert getattr(method.config(), name, 0) == 0
