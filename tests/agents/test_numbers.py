"""Agents that differ in numbers alone are one program, and come to what they come to alone."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from driftpolicy.agents.config import AgentConfig
from driftpolicy.agents.numbers import differing_numbers, structure_of, update, with_config

from .common import KEY, assert_same, make_batch
from .test_contract import NAMES, online

VALUES = {"learning_rate": 7e-4, "improvement_weight": 2.0, "anchor_rate": 0.3}


@pytest.mark.parametrize("name", NAMES)
def test_numbers_given_as_arrays_act_as_those_of_the_config(name):
    """Each of them in turn, so that none is listed which something else depends on."""
    agent, batch = online(name), make_batch()
    values = {each: getattr(agent.config, each) for each in agent.config.NUMBERS}
    # Given as an array, a weight of 0 is measured, where that of a config is not: see below.
    numbers = {each: jnp.float32(value) for each, value in values.items() if value}
    step = jax.jit(update)
    for number in sorted(agent.config.NUMBERS):
        other = dataclasses.replace(agent.config, **{number: VALUES[number]})
        assert structure_of(other) == structure_of(agent.config)
        assert differing_numbers([agent.config, other]).keys() == {number}
        expected, metrics = jax.jit(type(agent).update)(with_config(agent, other), batch, KEY)
        given = numbers | {number: jnp.float32(VALUES[number])}
        after, others = step(agent, given, batch, KEY)
        assert after.config == agent.config
        assert with_config(after, other).config == expected.config
        for one, wanted in zip(jax.tree.leaves(after), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(one, wanted, rtol=1e-5, atol=1e-6)
        for metric, value in metrics.items():
            np.testing.assert_allclose(others[metric], value, rtol=1e-4, atol=1e-5, err_msg=metric)


def test_no_weight_is_no_improvement():
    agent, batch = online("dfp"), make_batch()
    alone = with_config(agent, dataclasses.replace(agent.config, improvement_weight=0.0))
    expected, metrics = jax.jit(type(agent).update)(alone, batch, KEY)
    after, others = jax.jit(update)(agent, {"improvement_weight": jnp.float32(0)}, batch, KEY)
    for one, wanted in zip(jax.tree.leaves(after), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, wanted, rtol=1e-5, atol=1e-6)
    assert np.isnan(metrics["improvement_loss"])
    assert np.isfinite(others["improvement_loss"])  # measured, though nothing comes of it


def test_without_numbers_the_update_is_the_agents():
    agent, batch = online("dfp"), make_batch()
    (one, _), (other, _) = agent.update(batch, KEY), update(agent, None, batch, KEY)
    assert_same(one, other)


def test_what_is_no_number_is_structure():
    config = AgentConfig()
    assert structure_of(dataclasses.replace(config, critics=3)) != structure_of(config)
    assert structure_of(dataclasses.replace(config, discount=0.9)) != structure_of(config)
    assert differing_numbers([config, config]) == {}
