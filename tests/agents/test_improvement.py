"""Options beyond the paper of how much improvement there is, and how fast its anchor follows."""

import dataclasses
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from driftpolicy.agents import METHODS
from driftpolicy.agents.actor_critic import rate_over
from driftpolicy.agents.forms import to_accelerator, to_storage
from driftpolicy.agents.numbers import update as update_with
from driftpolicy.agents.numbers import with_config
from driftpolicy.agents.scoring import members_noise, score_by_members, shrinkage
from driftpolicy.errors import UserError
from driftpolicy.runs.trees import restore_tree, tree_arrays
from tests.compiling import ONCE

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
        assert_close(agent.actor, expected.actor, atol=1e-5)
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
    assert moved(*(jax.tree.map(lambda leaf, i=i: leaf[i], stacked.actor) for i in (0, 1))) > 1e-5


# --- improvement where the critic tells the candidates apart ------------------------------------


def test_shrinkage_is_the_share_of_the_spread_that_is_no_noise():
    values = jnp.array([[1.0, 2.0, 3.0, 6.0], [5.0, 5.0, 5.0, 5.0], [1.0, 2.0, 3.0, 6.0]])
    spread = 14 / 3  # deviations -2, -1, 0, 3
    noise = jnp.array([spread / 4, 0.0, 5.0])
    np.testing.assert_allclose(shrinkage(values, noise), [0.75, 0.0, 0.0], rtol=1e-6)
    np.testing.assert_allclose(shrinkage(values, jnp.float32(0)), [1.0, 0.0, 1.0], rtol=1e-6)
    np.testing.assert_allclose(
        shrinkage(10 * values - 40, 100 * noise), [0.75, 0.0, 0.0], rtol=1e-5
    )
    assert np.isnan(shrinkage(values, jnp.float32(jnp.nan))).all()


def test_shrinkage_is_the_best_factor_on_what_is_seen():
    """Of true values plus errors: the slope of the regression of the former on the latter."""
    rng = np.random.default_rng(0)
    true = rng.normal(3.0, 2.0, 200_000)
    seen = true + rng.normal(0.0, 1.5, true.shape)
    factor = float(shrinkage(jnp.asarray(seen, jnp.float32), jnp.float32(1.5**2)))
    np.testing.assert_allclose(factor, np.cov(true, seen)[0, 1] / np.var(seen), atol=0.01)
    np.testing.assert_allclose(factor, 2.0**2 / (2.0**2 + 1.5**2), atol=0.01)


@pytest.mark.parametrize("members", [2, 5])
def test_what_the_members_share_is_their_reliability(members):
    """Cronbach's alpha by its own formula, and what a member adds to all candidates is nothing."""
    rng = np.random.default_rng(1)
    shared = np.linspace(0, 2, 6)[:, None, None] * rng.normal(size=(6, 1, 9))
    values = rng.normal(size=(members, 6, 1, 9)) + shared
    found = shrinkage(jnp.asarray(values.mean(axis=0)), members_noise(jnp.asarray(values)))
    assert found.shape == (6, 1)
    for state in range(6):
        each = sum(np.var(values[i, state, 0], ddof=1) for i in range(members))
        total = np.var(values[:, state, 0].sum(axis=0), ddof=1)
        alpha = members / (members - 1) * (1 - each / total)
        np.testing.assert_allclose(found[state, 0], max(alpha, 0.0), rtol=1e-4)
    shifted = values + rng.normal(size=(members, 1, 1, 1))
    again = shrinkage(jnp.asarray(shifted.mean(axis=0)), members_noise(jnp.asarray(shifted)))
    np.testing.assert_allclose(again, found, rtol=1e-4)
    assert np.min(found) < 0.9 * np.max(found)


def test_members_that_contradict_each_other_are_no_signal():
    values = np.random.default_rng(2).normal(size=(1, 4, 8))
    opposed = jnp.asarray(np.concatenate([values, -values]), jnp.float32)
    np.testing.assert_array_equal(shrinkage(jnp.mean(opposed, axis=0), members_noise(opposed)), 0)


def deaf(agent):
    """The agent with a critic that does not hear of the chunk: all candidates are alike."""
    members = [
        eqx.tree_at(lambda m: m.layers[0].weight, member, member.layers[0].weight.at[3:].set(0.0))
        for member in agent.critic.online.members
    ]
    return eqx.tree_at(lambda a: a.critic.online.members, agent, tuple(members))


def agreeing(agent):
    """The agent with critics that have more in common than fresh ones do."""
    one, other = agent.critic.online.members
    between = jax.tree.map(lambda a, b: 0.7 * a + 0.3 * b, one, other)
    return eqx.tree_at(lambda a: a.critic.online.members, agent, (one, between))


@pytest.mark.parametrize("kind", ["members", "td-error"])
@pytest.mark.parametrize("name", IMPROVING)
def test_without_a_signal_there_is_no_pull(name, kind):
    agent, batch = deaf(online(name)), make_batch()
    cloned, _ = update(configured(agent, improvement_weight=0.0), batch, KEY)
    plain, _ = update(agent, batch, KEY)
    after, metrics = update(configured(agent, shrinkage=kind), batch, KEY)
    assert moved(plain.actor, cloned.actor) > 1e-5
    assert_close(after.actor, cloned.actor)
    np.testing.assert_allclose(metrics["improvement_shrinkage"], 0.0, atol=1e-4)


@pytest.mark.parametrize("kind", ["members", "td-error"])
@pytest.mark.parametrize("name", IMPROVING)
def test_each_state_pulls_with_its_weight(name, kind):
    """Halving all weights halves the improvement's gradient: no normalisation takes it back."""
    agent, batch = configured(agreeing(online(name)), shrinkage=kind), make_batch()
    values = np.asarray(
        score_by_members(
            agent.config,
            agent.critic.online,
            batch.observation,
            agent.anchor.sample(batch.observation, 5, key=jax.random.key(2)),
        )
    )
    spread = np.var(values.mean(axis=0), axis=1, ddof=1)
    backup = np.asarray(
        np.mean(agent.critic.online(batch.observation, batch.actions.reshape(6, 4)), axis=0)
    )
    typical = np.median(spread)
    backup = backup + np.sqrt(typical) * np.array([0.5, -0.5, 1.0, 0.5, 9.0, 9.0])
    if kind == "members":
        noise = np.var(values[0] - values[1], axis=1, ddof=1) / 4
    else:  # the last two windows do not count
        noise = typical * (0.25 + 0.25 + 1.0 + 0.25) / 4
    expected = np.maximum(1 - noise / spread, 0.0)

    @partial(jax.jit, compiler_options=ONCE)
    def gradients(actor, weights):
        drawn = agent.guidance(batch, jnp.asarray(backup), jax.random.key(2))
        loss = lambda actor, g: agent.actor_loss(actor, batch, g, KEY)[0]  # noqa: E731
        given = [drawn._replace(shrinkage=w) for w in (weights, weights / 2, 0 * weights)]
        given.append(drawn._replace(shrinkage=None))
        return drawn.shrinkage, [jax.grad(loss)(actor, g) for g in given]

    found, (whole, half, none, off) = gradients(agent.actor, jnp.asarray(expected, jnp.float32))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    assert expected.max() > 0.05
    assert np.ptp(expected) > 0.01
    assert_close(
        jax.tree.map(lambda w, n: 0.5 * (w + n), whole, none), half, atol=1e-5 * max_of(whole)
    )
    assert moved(whole, none) > 1e-3 * max_of(whole)
    assert moved(whole, off) > 1e-3 * max_of(whole)
    # One state alone: the gradient is linear in the weights of the states.
    parts = [gradients(agent.actor, jnp.eye(6)[i])[1][0] for i in range(6)]
    total = jax.tree.map(
        lambda zero, *each: zero + sum(w * (g - zero) for w, g in zip(expected, each, strict=True)),
        none,
        *parts,
    )
    assert_close(total, whole, atol=1e-4 * max_of(whole))


def max_of(tree):
    return max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize("kind", ["members", "td-error"])
@pytest.mark.parametrize("name", IMPROVING)
def test_shrinkage_is_logged_and_has_both_forms(name, kind):
    agent, batch = configured(online(name), shrinkage=kind), make_batch()
    after, metrics = update(agent, batch, KEY)
    assert 0 <= metrics["improvement_shrinkage"] <= 1
    fast, others = update(to_accelerator(agent), batch, KEY)
    assert_close(to_storage(fast), after, atol=1e-5)
    np.testing.assert_allclose(
        others["improvement_shrinkage"], metrics["improvement_shrinkage"], rtol=1e-3
    )
    offline = create(name, agent.config, KEY)
    _, metrics = update(offline, batch, KEY)
    assert np.isnan(metrics["improvement_shrinkage"])
    _, metrics = update(online(name), batch, KEY)
    assert "improvement_shrinkage" not in metrics


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shrinkage": "members", "critics": 1}, "critics must be at least 2 with shrinkage"),
        ({"shrinkage": "td-error", "candidates": 1, "positives": 1}, "candidates must be at least"),
    ],
)
def test_a_spread_needs_two(changes, message):
    for name in ("dfp", "mvp-topk"):
        with pytest.raises(UserError, match=message):
            METHODS[name].config(**changes)


# --- whose samples are backed up -----------------------------------------------------------------


@pytest.mark.parametrize("name", IMPROVING)
def test_the_anchor_can_propose_what_is_backed_up(name):
    """``y`` of an agent whose actor the anchor is; the choice stays the online critic's."""
    batch, agent = make_batch(), configured(online(name), backup_policy="anchor")
    elsewhere = create(name, small_config(name), jax.random.key(9)).actor
    agent = dataclasses.replace(agent, actor=elsewhere)
    other = configured(dataclasses.replace(agent, actor=agent.anchor), backup_policy="own")
    target = agent.backup(batch, KEY)
    np.testing.assert_allclose(target, other.backup(batch, KEY), rtol=1e-6)
    own = configured(agent, backup_policy="own").backup(batch, KEY)
    assert np.abs(target - own).max() > 1e-4


@pytest.mark.parametrize("name", IMPROVING)
def test_offline_there_is_no_anchor_and_the_policy_is_backed_up(name):
    batch, agent = make_batch(), create(name, small_config(name), KEY)
    anchored = configured(agent, backup_policy="anchor")
    np.testing.assert_array_equal(anchored.backup(batch, KEY), agent.backup(batch, KEY))
