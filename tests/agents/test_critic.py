"""The critic on windows whose values can be worked out by hand."""

import dataclasses
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from driftpolicy.agents import scoring
from driftpolicy.agents.base import polyak
from driftpolicy.agents.config import AgentConfig
from driftpolicy.agents.critic import Critic
from driftpolicy.batch import Batch
from tests import statistical
from tests.compiling import LOOP, ONCE

# Four ways a window of two steps can lie in its episode.
INSIDE, SUCCESS_AT_ITS_END, SUCCESS_WITHIN, CUT_WITHIN = range(4)
MASK = [1.0, 0.0, 0.0, 1.0]
VALID = [[1.0, 1.0], [1.0, 1.0], [1.0, 0.0], [1.0, 0.0]]


def config(**changes):
    return AgentConfig(**{"chunk_length": 2, "critic_hidden": (8,), "discount": 0.9} | changes)


def constant(critic, values):
    """The ensemble whose members know one number each, whatever they are shown."""
    members = tuple(
        eqx.tree_at(
            lambda m: (m.layers[-1].weight, m.layers[-1].bias),
            member,
            (jnp.zeros_like(member.layers[-1].weight), jnp.full(1, value, jnp.float32)),
        )
        for member, value in zip(critic.members, values, strict=True)
    )
    return eqx.tree_at(lambda c: c.members, critic, members)


@partial(jax.jit, static_argnums=(0, 1), compiler_options=ONCE)
def fresh(config, observation_dim, key):
    return Critic.create(config, observation_dim, 2, key)


def create(observation_dim=3, number=0, **changes):
    # One program for all: what the options change is not in the parameters.
    sizes = config(critic_hidden=changes.get("critic_hidden", (8,)))
    return dataclasses.replace(
        fresh(sizes, observation_dim, statistical.key(number)), config=config(**changes)
    )


@partial(jax.jit, static_argnums=1, compiler_options=ONCE)
def call(module, name, *arguments):
    """``module.name(...)``, compiled."""
    return getattr(module, name)(*arguments)


def windows(*kinds, reward, seed=0):
    rng = np.random.default_rng(seed)
    size = len(kinds)
    return Batch(
        observation=jnp.asarray(rng.normal(size=(size, 3)), jnp.float32),
        actions=jnp.asarray(rng.uniform(-1, 1, size=(size, 2, 1)), jnp.float32),
        reward=jnp.asarray(reward, jnp.float32),
        mask=jnp.array([MASK[kind] for kind in kinds]),
        next_observation=jnp.asarray(rng.normal(size=(size, 3)), jnp.float32),
        valid=jnp.array([VALID[kind] for kind in kinds]),
    )


@pytest.mark.parametrize(
    ("aggregation", "value"), [("mean", 5.0), ("min", 4.0), ("pessimistic", 4.5)]
)
def test_backup(aggregation, value):
    """``y = R + 0.9^2 mask Q_target``: of the target, not the online members."""
    critic = create(critic_aggregation=aggregation)
    online, target = constant(critic.online, [100, 200]), constant(critic.target, [4, 6])
    critic = Critic(online, target, critic.config)
    batch = windows(INSIDE, SUCCESS_AT_ITS_END, reward=[1.0, -2.0])
    backup = call(critic, "backup", batch, jnp.zeros((2, 2)))
    np.testing.assert_allclose(backup, [1.0 + 0.81 * value, -2.0], rtol=1e-6)


def test_pessimism_is_in_standard_deviations():
    values = jnp.asarray(np.random.default_rng(0).normal(size=(10, 4)), jnp.float32)
    for rho in (0.0, 0.5, 2.0):
        found = scoring.aggregate(config(critic_aggregation="pessimistic", pessimism=rho), values)
        expected = np.mean(values, axis=0) - rho * np.std(values, axis=0)
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_pessimism_has_a_gradient_where_the_members_agree():
    gradient = jax.grad(
        lambda values: scoring.aggregate(config(critic_aggregation="pessimistic"), values)[0]
    )(jnp.ones((3, 1)))
    np.testing.assert_allclose(gradient, 1 / 3, rtol=1e-6)


def test_the_backup_looks_at_the_next_state_and_chunk():
    critic = create()
    batch = windows(INSIDE, INSIDE, reward=[0.0, 0.0])
    chunk = jnp.array([[0.3, -0.3], [0.1, 0.9]])
    members = call(critic.target, "__call__", batch.next_observation, chunk)
    expected = 0.81 * np.asarray(members).mean(axis=0)
    np.testing.assert_allclose(call(critic, "backup", batch, chunk), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("terminal_windows", "counted"), [("drop", [1, 1, 0, 0]), ("keep", [1, 1, 1, 0])]
)
def test_which_windows_count_and_how_much(terminal_windows, counted):
    """The loss is a mean over the whole batch; what is left out counts as zero, not as absent."""
    critic = create(terminal_windows=terminal_windows)
    online = constant(critic.online, [1, 3])
    batch = windows(
        INSIDE, SUCCESS_AT_ITS_END, SUCCESS_WITHIN, CUT_WITHIN, reward=[0.0, 0.0, 0.0, 0.0]
    )
    np.testing.assert_array_equal(critic.weight(batch), counted)
    backup = jnp.array([1.0, 4.0, 6.0, 50.0])
    # Squared errors of the members: 0 and 4; 9 and 1; 25 and 9; the last never counts.
    total = 14.0 + 34.0 * counted[2]
    loss, metrics = call(critic, "loss", online, batch, backup)
    np.testing.assert_allclose(loss, total / 8, rtol=1e-6)
    np.testing.assert_allclose(metrics["critic_loss"], loss)
    np.testing.assert_allclose(metrics["q"], 2.0, rtol=1e-6)
    np.testing.assert_allclose(metrics["q_target"], (5 + 6 * counted[2]) / sum(counted), rtol=1e-6)
    np.testing.assert_allclose(metrics["valid"], sum(counted) / 4)


@pytest.mark.parametrize("aggregation", ["mean", "min"])
def test_the_best_candidates(aggregation):
    critic = create(critic_aggregation=aggregation)
    rng = np.random.default_rng(0)
    observation = jnp.asarray(rng.normal(size=(5, 3)), jnp.float32)
    chunks = jnp.asarray(rng.uniform(-1, 1, size=(5, 7, 2)), jnp.float32)
    reduce = np.mean if aggregation == "mean" else np.min
    # One state after the other: no broadcasting to get wrong.
    values = [
        call(critic.online, "__call__", np.tile(o, (7, 1)), c)
        for o, c in zip(np.asarray(observation), chunks, strict=True)
    ]
    expected = np.stack([reduce(np.asarray(v), axis=0) for v in values])
    score = jax.jit(partial(scoring.score, critic.config), compiler_options=ONCE)(
        critic.online, observation, chunks
    )
    np.testing.assert_allclose(score, expected, rtol=1e-4, atol=1e-5)
    order = np.argsort(-expected, axis=1)
    assert len(set(order[:, 0])) > 1

    @partial(jax.jit, static_argnums=2, compiler_options=ONCE)
    def chosen(observation, chunks, count):
        given = (critic.config, critic.online, observation, chunks)
        return scoring.best(*given), scoring.top_k(scoring.score(*given), chunks, count)

    best, top = chosen(observation, chunks, 3)
    assert top.shape == (5, 3, 2)
    for i in range(5):
        np.testing.assert_array_equal(best[i], chunks[i, order[i, 0]])
        np.testing.assert_array_equal(top[i], chunks[i, order[i, :3]])
    # Batch axes of any number, and none.
    alone, _ = chosen(observation[0], chunks[0], 3)
    np.testing.assert_array_equal(alone, best[0])
    _, deep = chosen(observation[None], chunks[None], 3)
    np.testing.assert_array_equal(deep[0], top)
    only, _ = chosen(observation, chunks[:, :1], 1)
    np.testing.assert_array_equal(only, chunks[:, 0])


def test_polyak():
    average = {"a": jnp.array([0.0, 10.0]), "b": jnp.array(4.0)}
    current = {"a": jnp.array([1.0, 20.0]), "b": jnp.array(-4.0)}
    moved = polyak(average, current, 0.25)
    np.testing.assert_allclose(moved["a"], [0.25, 12.5])
    np.testing.assert_allclose(moved["b"], 2.0)


def test_the_target_follows_at_its_rate():
    critic = create(target_rate=0.25)
    for a, b in zip(*map(jax.tree.leaves, (critic.online, critic.target)), strict=True):
        np.testing.assert_array_equal(a, b)  # a fresh target is the ensemble
    critic = Critic(critic.online, constant(critic.target, [4, 8]), critic.config)
    after = call(critic, "step", constant(critic.online, [8, 0]))
    for members, expected in ((after.online, [8, 0]), (after.target, [5, 6])):
        values = call(members, "__call__", jnp.ones((1, 3)), jnp.zeros((1, 2)))
        np.testing.assert_allclose(values[:, 0], expected, rtol=1e-6)


# --- a chain of three states, and a loop --------------------------------------------------------
#
# s0 -> s1 -> s2 -> success, rewards -1, -1 and 10; s3 -> s3, reward 1 for ever. Windows of two
# steps, gamma = 0.9. The success of the window from s2 comes at its first step.

CHAIN = Batch(
    observation=jnp.eye(4),
    actions=jnp.zeros((4, 2, 1)),
    reward=jnp.array([-1.9, -1.0 + 0.9 * 10.0, 10.0, 1.9]),
    mask=jnp.array([1.0, 0.0, 0.0, 1.0]),
    next_observation=jnp.eye(4)[jnp.array([2, 3, 3, 3])],
    valid=jnp.array([[1.0, 1.0], [1.0, 1.0], [1.0, 0.0], [1.0, 1.0]]),
)


@partial(jax.jit, compiler_options=LOOP)
def train(critic, batch):
    optimiser = optax.adam(1e-2)
    chunk = jnp.zeros((4, 2))

    def step(carry, _):
        critic, state = carry
        backup = critic.backup(batch, chunk)
        gradient = jax.grad(lambda q: critic.loss(q, batch, backup)[0])(critic.online)
        updates, state = optimiser.update(gradient, state)
        return (critic.step(eqx.apply_updates(critic.online, updates)), state), None

    start = (critic, optimiser.init(critic.online))
    (critic, _), _ = jax.lax.scan(step, start, length=800)
    return critic.online(batch.observation, chunk)


def learn(batch, terminal_windows, number=0):
    """The values of the four states after a few hundred steps on the whole chain."""
    changes = {"critic_hidden": (32,), "target_rate": 0.1, "terminal_windows": terminal_windows}
    return np.asarray(train(create(4, number, **changes), batch))


@pytest.mark.statistical
def test_a_chain_whose_success_within_a_window_is_kept():
    values = learn(CHAIN, "keep")
    s2 = 10.0
    expected = np.array([-1.9 + 0.81 * s2, 8.0, s2, 1.9 / (1 - 0.81)])
    for state, ratio in enumerate((values / expected).T):
        statistical.assert_within(f"s{state}", ratio, 0.98, 1.02)


@pytest.mark.statistical
def test_a_chain_whose_success_within_a_window_is_dropped():
    """Published: the window from s2 teaches nothing, so s0 rests on a value never learned."""
    values = learn(CHAIN, "drop")
    others = [learn(CHAIN, "drop", number) for number in range(1, 8)]
    statistical.assert_within("s2", np.mean([values, *others], axis=(0, 1))[2], high=8.0)
    s2 = values.mean(axis=0)[2]
    expected = np.array([-1.9 + 0.81 * s2, 8.0, 10.0])
    for state, error in zip((0, 1, 3), (values[:, [0, 1, 3]] - expected).T, strict=True):
        statistical.assert_within(f"s{state}", error, -0.1, 0.1)
    # Nothing at all: not by its reward, and not by its mask.
    other = CHAIN._replace(reward=CHAIN.reward.at[2].set(-77.0), mask=CHAIN.mask.at[2].set(1.0))
    np.testing.assert_array_equal(learn(other, "drop"), values)


def test_gradients_reach_the_online_members_only():
    critic = create()
    batch = windows(INSIDE, SUCCESS_WITHIN, reward=[1.0, 2.0])

    @partial(jax.jit, compiler_options=ONCE)
    def gradients(critic, chunk):
        def loss(critic, chunk):
            return critic.loss(critic.online, batch, critic.backup(batch, chunk))[0]

        return jax.grad(loss, argnums=(0, 1))(critic, chunk)

    gradient, by_chunk = gradients(critic, jnp.full((2, 2), 0.5))
    for leaf in jax.tree.leaves((gradient.target, by_chunk)):
        np.testing.assert_array_equal(leaf, 0.0)
    assert all(np.abs(member.layers[0].weight).max() > 0 for member in gradient.online.members)


def test_windows_that_do_not_count_change_no_gradient():
    critic = create()

    @partial(jax.jit, compiler_options=ONCE)
    def gradient(batch):
        backup = critic.backup(batch, jnp.zeros((3, 2)))
        return jax.grad(lambda q: critic.loss(q, batch, backup)[0])(critic.online)

    batch = windows(INSIDE, SUCCESS_WITHIN, CUT_WITHIN, reward=[1.0, 2.0, 3.0])
    junk = windows(INSIDE, SUCCESS_WITHIN, CUT_WITHIN, reward=[9.0, 99.0, -99.0], seed=1)
    keep = jnp.array([True, False, False])
    mixed = jax.tree.map(
        lambda a, b: jnp.where(jnp.expand_dims(keep, range(1, a.ndim)), a, b), batch, junk
    )
    for a, b in zip(
        jax.tree.leaves(gradient(batch)), jax.tree.leaves(gradient(mixed)), strict=True
    ):
        np.testing.assert_array_equal(a, b)


@pytest.mark.statistical
def test_bfloat16_chooses_and_nothing_else():
    """Scores are rounded, close to the exact ones; what is learned from is not rounded."""
    plain = config(critic_hidden=(32, 32))
    critic = Critic.create(plain, 3, 4, statistical.key(0))
    rounded = dataclasses.replace(
        critic, config=dataclasses.replace(plain, scoring_precision="bfloat16")
    )
    random = np.random.default_rng(0)
    states = jnp.asarray(random.normal(size=(64, 3)), jnp.float32)
    chunks = jnp.asarray(random.uniform(-1, 1, (64, 8, 4)), jnp.float32)

    @partial(jax.jit, compiler_options=ONCE)
    def chosen(critic):
        given = (critic.config, critic.online, states, chunks)
        return scoring.score(*given), scoring.best(*given)

    (exact, best), (near, near_best) = chosen(critic), chosen(rounded)
    assert near.dtype == jnp.float32
    error = jnp.abs(exact - near).max()
    statistical.assert_within("log error", np.log10(error), low=-4.0)
    statistical.assert_within("relative error", error / jnp.std(exact), high=0.06)
    agree = jnp.all(best == near_best, axis=-1)
    statistical.assert_within("agree", jnp.mean(agree), low=0.9)
    ones = jnp.ones(64)
    batch = Batch(states, chunks[:, 0].reshape(64, 2, 2), ones, ones, states, jnp.ones((64, 2)))

    @partial(jax.jit, compiler_options=ONCE)
    def learned_from(critic):
        backup = critic.backup(batch, chunks[:, 1])
        return backup, critic.loss(critic.online, batch, backup)[0]

    for one, other in zip(learned_from(critic), learned_from(rounded), strict=True):
        np.testing.assert_array_equal(one, other)
