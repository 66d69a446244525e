"""The agent: what each loss trains, and probe problems whose answers are known."""

import dataclasses
import inspect
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from driftpolicy.agents import DFP, METHODS, DFPConfig
from driftpolicy.agents.dfp import soft_weights
from driftpolicy.agents.scoring import score
from driftpolicy.drifting import drift_loss
from driftpolicy.errors import UserError
from tests import statistical
from tests.agents.common import KEY, MODES, assert_same, make_batch, moved, train, update
from tests.compiling import LOOP, ONCE

SMALL = DFPConfig(
    chunk_length=2,
    actor_hidden=(16,),
    critic_hidden=(16,),
    generated=3,
    candidates=5,
    positives=2,
    best_of=4,
    temperatures=(0.05, 0.5),
    target_rate=0.25,
    anchor_rate=0.125,
)


@partial(jax.jit, static_argnums=0, compiler_options=ONCE)
def fresh(config, key):
    return DFP.create(config, 3, 2, key)


def create(config=SMALL, seed=0):
    # One program for all: what these options change is not in the parameters.
    return dataclasses.replace(fresh(SMALL, statistical.key(seed)), config=config)


def online(config=SMALL):
    """An agent in the online phase whose anchor and target are not its actor and critic."""
    agent, other = create(config), create(config, seed=1)
    agent = dataclasses.replace(agent.start_online(), anchor=other.actor)
    return eqx.tree_at(lambda a: a.critic.target, agent, other.critic.target)


# --- the two phases ----------------------------------------------------------------------------


def test_offline_update_trains_actor_and_critic():
    agent = create()
    after, metrics = update(agent, make_batch(), KEY)
    assert after.anchor is None
    assert moved(after.actor, agent.actor) > 1e-4
    assert moved(after.critic.online, agent.critic.online) > 1e-4
    assert moved(after.critic.target, agent.critic.target) > 1e-5
    np.testing.assert_allclose(metrics["valid"], 4 / 6, rtol=1e-6)
    assert metrics["nonfinite"] == 0
    for name, value in metrics.items():
        assert value.shape == ()
        assert np.isnan(value) == name.startswith("improvement"), name


def test_metric_names_are_those_of_the_other_phase():
    _, offline = update(create(), make_batch(), KEY)
    _, metrics = update(online(), make_batch(), KEY)
    assert metrics.keys() == offline.keys()
    assert all(np.isfinite(value) for value in metrics.values())
    assert {"bc_raw_norm_0.05", "bc_raw_norm_0.5", "improvement_raw_norm_0.5"} <= metrics.keys()


def test_start_online_copies_the_actor():
    agent, _ = update(create(), make_batch(), KEY)
    started = agent.start_online()
    assert_same(started.anchor, agent.actor)
    assert_same(dataclasses.replace(started, anchor=None), agent)
    # The anchor is a copy: the actor moves on, the anchor follows at its own rate.
    after, _ = update(started, make_batch(), KEY)
    gap = moved(after.anchor, after.actor)
    np.testing.assert_allclose(gap, 0.875 * moved(started.anchor, after.actor), rtol=1e-3)


def test_anchor_and_target_are_moving_averages_of_the_new_parameters():
    agent = online()
    after, _ = update(agent, make_batch(), KEY)
    for rate, old, new, average in (
        (0.125, agent.anchor, after.actor, after.anchor),
        (0.25, agent.critic.target, after.critic.online, after.critic.target),
    ):
        expected = jax.tree.map(lambda o, n, r=rate: (1 - r) * o + r * n, old, new)
        for a, b in zip(jax.tree.leaves(average), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_without_improvement_weight_the_online_phase_is_the_offline_one():
    config = dataclasses.replace(SMALL, improvement_weight=0.0)
    offline, expected = update(create(), make_batch(), KEY)
    after, metrics = update(create(config).start_online(), make_batch(), KEY)
    assert_same(dataclasses.replace(after, anchor=None), offline)
    np.testing.assert_array_equal(list(metrics.values()), list(expected.values()))
    # With it, only the actor goes elsewhere.
    improved, _ = update(create().start_online(), make_batch(), KEY)
    assert moved(improved.actor, offline.actor) > 1e-5
    np.testing.assert_allclose(moved(improved.critic.online, offline.critic.online), 0, atol=1e-6)


# --- the losses ---------------------------------------------------------------------------------


@pytest.mark.parametrize("improvement", ["top-k", "soft"])
def test_the_actor_follows_the_losses_of_the_paper(improvement):
    """Gradients, since the losses' values are constant: those of the loss written out."""
    config = dataclasses.replace(SMALL, improvement=improvement, soft_alpha=0.05)
    agent, batch = online(config), make_batch()
    options = {"temperatures": SMALL.temperatures}
    noise = jax.random.normal(jax.random.key(1), (6, 3, 4))
    candidates = agent.anchor.sample(batch.observation, 5, key=jax.random.key(2))
    values = np.asarray(agent.critic.online(batch.observation[:, None], candidates)).mean(axis=0)
    if improvement == "top-k":
        best = np.argsort(-values, axis=1)[:, :2]
        positives, weights = jnp.take_along_axis(candidates, best[..., None], axis=1), None
    else:
        weight = np.exp((values - values.max(axis=1, keepdims=True)) / 0.05)
        positives = candidates
        weights = jnp.asarray(5 * weight / weight.sum(axis=1, keepdims=True))

    def expected(actor):
        x = jnp.clip(actor(batch.observation[:, None], noise), -1.0, 1.0)
        chunk = batch.actions.reshape(6, 1, 4)[:4]  # the windows inside their episodes
        cloning, _ = drift_loss(x[:4], chunk, **options)
        improving, _ = drift_loss(x, positives, positive_weights=weights, **options)
        return jnp.mean(cloning) + config.improvement_weight * jnp.mean(improving)

    @partial(jax.jit, compiler_options=ONCE)
    def both(actor):
        # The keys of the samples and the candidates, each used once and for this only.
        drawn = agent.guidance(batch, batch.reward, jax.random.key(2))
        got = jax.grad(lambda a: agent.actor_loss(a, batch, drawn, jax.random.key(1))[0])(actor)
        return got, jax.grad(expected)(actor)

    got, want = both(agent.actor)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4 * np.abs(b).max())


def test_windows_across_an_episodes_end_teach_nothing():
    batch, junk = make_batch(), make_batch(seed=1)

    def with_junk(*names):
        rows = {n: getattr(batch, n).at[-2:].set(getattr(junk, n)[-2:]) for n in names}
        return batch._replace(**rows)

    agent = create()
    expected, _ = update(agent, batch, KEY)
    names = ("observation", "actions", "reward", "next_observation")
    after, _ = update(agent, with_junk(*names), KEY)
    assert_same(after, expected)

    # Online the state of such a window is a state like any other for the improvement, and only so.
    agent = online()
    expected, _ = update(agent, batch, KEY)
    after, _ = update(agent, with_junk(*names[1:]), KEY)
    assert_same(after, expected)
    after, _ = update(agent, with_junk(*names), KEY)
    assert moved(after.actor, expected.actor) > 1e-5
    assert_same(after.critic, expected.critic)

    # A batch with no window to learn from is no division by zero.
    agent = create()
    after, metrics = update(agent, batch._replace(valid=jnp.zeros((6, 2))), KEY)
    assert_same((after.actor, after.critic), (agent.actor, agent.critic))
    assert metrics["bc_loss"] == metrics["critic_loss"] == 0.0


def test_a_nonfinite_state_is_counted():
    batch = make_batch()
    batch = batch._replace(actions=batch.actions.at[1, 0, 0].set(jnp.nan))
    _, metrics = update(create(), batch, KEY)
    assert metrics["nonfinite"] == 1
    assert np.isnan(metrics["bc_loss"])
    agent = online()
    broken = jax.tree.map(lambda a: jnp.full_like(a, jnp.nan), agent.anchor)
    _, metrics = update(dataclasses.replace(agent, anchor=broken), make_batch(), KEY)
    assert metrics["nonfinite"] == 6  # of the improvement, which has a say in each state
    assert np.isfinite(metrics["bc_loss"])


def test_the_backup_is_of_a_decision_at_the_next_state():
    """With a policy deaf to noise, whose decisions are known."""
    agent, batch = online(), make_batch()
    deaf = eqx.tree_at(
        lambda a: a.actor.mlp.layers[0].weight, agent, replace_fn=lambda w: w.at[3:].set(0.0)
    )

    @partial(jax.jit, compiler_options=ONCE)
    def value(agent, state):
        chunk = jnp.clip(agent.actor(state, jnp.zeros((6, 4))), -1.0, 1.0)
        return jnp.mean(agent.critic.target(state, chunk), axis=0)

    backup = batch.reward + 0.99**2 * batch.mask * value(deaf, batch.next_observation)
    _, metrics = update(deaf, batch, KEY)
    np.testing.assert_allclose(metrics["q_target"], np.mean(backup[:4]), rtol=1e-4)


@pytest.mark.statistical
def test_candidates_are_not_the_generated_samples():
    """One of each, from equal networks: with the same noise they would be one and the same."""
    config = dataclasses.replace(SMALL, generated=1, candidates=1, positives=1)
    _, metrics = update(create(config).start_online(), make_batch(), KEY)
    statistical.assert_within("log scale", np.log10(metrics["improvement_scale"]), low=-2.0)


# --- the soft target ----------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [0.3, 1.0, 10.0])
def test_soft_weights_estimate_the_soft_target(alpha):
    """``mean(w g(a))`` against the integral of ``g pi_old exp(Q / alpha) / Z``."""
    a = 0.2 + 0.5 * norm.ppf((np.arange(20000) + 0.5) / 20000)  # pi_old = N(0.2, 0.5^2)
    q = lambda a: np.sin(3 * a) - 0.5 * a**2  # noqa: E731
    weights = np.asarray(soft_weights(jnp.asarray(q(a), jnp.float32), alpha), np.float64)
    np.testing.assert_allclose(weights.mean(), 1.0, rtol=1e-5)

    line = np.linspace(-4, 4, 20001)
    density = norm.pdf(line, 0.2, 0.5) * np.exp(q(line) / alpha)
    density /= np.trapezoid(density, line)
    for g in (lambda a: a, np.square, lambda a: (a > 0.3).astype(float)):
        integral = np.trapezoid(g(line) * density, line)
        np.testing.assert_allclose(np.mean(weights * g(a)), integral, atol=5e-4)


def test_soft_weights_are_per_state_and_stand_large_values():
    values = jnp.array([[0.0, 1e6, -1e6], [5.0, 5.0, 5.0]])
    np.testing.assert_allclose(soft_weights(values, 0.5), [[0, 3, 0], [1, 1, 1]], rtol=1e-6)


# --- configuration ------------------------------------------------------------------------------


class _Unchecked(DFPConfig):
    # The run-time type checks of the tests would refuse some of the values one call earlier.
    __init__ = inspect.unwrap(DFPConfig.__init__)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("chunk_length", 0),
        ("discount", 0.0),
        ("discount", 1.01),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("learning_rate", float("inf")),
        ("actor_hidden", ()),
        ("actor_hidden", (8, 0)),
        ("critic_hidden", ()),
        ("critics", 0),
        ("critic_aggregation", "median"),
        ("decay_steps", -1),
        ("target_rate", 0.0),
        ("target_rate", 1.5),
        ("terminal_windows", "lose"),
        ("generated", 0),
        ("shared_positives", 0),
        ("candidates", 0),
        ("best_of", 0),
        ("positives", 0),
        ("positives", 17),
        ("temperatures", ()),
        ("temperatures", (0.05, 0.0)),
        ("temperatures", (0.05, float("nan"))),
        ("temperatures", (float("inf"),)),
        ("improvement_weight", -0.1),
        ("improvement_weight", float("inf")),
        ("anchor_rate", -1e-9),
        ("anchor_rate", 1.1),
        ("anchor_steps", -1),
        ("ramp_steps", -1),
        ("shrinkage", "some"),
        ("improvement", "hard"),
        ("soft_alpha", 0.0),
        ("soft_alpha", float("inf")),
        ("kernel", "cauchy"),
        ("form", "one-sided"),
    ],
)
def test_config_refuses_what_makes_no_sense(field, value):
    with pytest.raises(UserError) as error:
        _Unchecked(**{field: value})
    message = str(error.value)
    assert message.startswith(f"{field} must be ")
    assert message.endswith(f", not {value}")
    assert "\n" not in message


def test_the_ends_of_the_ranges_are_allowed():
    config = DFPConfig(
        discount=1.0,
        target_rate=1.0,
        anchor_rate=0.0,
        improvement_weight=0.0,
        candidates=4,
        positives=4,
        best_of=1,
        generated=1,
        chunk_length=1,
        critics=1,
    )
    assert dataclasses.replace(config, anchor_rate=1.0).anchor_rate == 1.0


def test_the_defaults_are_the_papers():
    config = DFPConfig()
    assert (config.chunk_length, config.discount, config.learning_rate) == (5, 0.99, 3e-4)
    assert config.actor_hidden == config.critic_hidden == (512, 512, 512, 512)
    assert (config.critics, config.critic_aggregation, config.target_rate) == (2, "mean", 5e-3)
    assert (config.candidates, config.positives, config.generated, config.best_of) == (16, 4, 8, 16)
    assert (config.temperatures, config.improvement_weight) == ((0.05,), 0.5)
    assert (config.anchor_rate, config.improvement) == (1e-4, "top-k")
    assert (config.anchor_steps, config.ramp_steps, config.shrinkage) == (0, 0, "none")
    assert config.shared_positives == 1
    assert (config.kernel, config.form, config.terminal_windows) == ("laplace", "two-sided", "drop")
    assert METHODS["dfp"] == (DFP, DFPConfig)


# --- the bandit of common.py ---------------------------------------------------------------------

BANDIT = DFPConfig(
    chunk_length=2,
    actor_hidden=(32, 32),
    critic_hidden=(32,),
    best_of=1,
    learning_rate=1e-2,
    terminal_windows="keep",
)


SEEDS = 16


@partial(jax.jit, static_argnums=2, compiler_options=LOOP)
def play(agents, keys, steps):
    """Train each; the weight of the first mode and the share of samples that are at a mode."""

    def one(agent, key):
        agent = train(agent, key, steps)
        samples = agent.actor.sample(jnp.ones(1), 2000, key=jax.random.fold_in(key, 0))
        distance = jnp.linalg.norm(samples[:, None] - MODES[None], axis=-1)
        first = jnp.mean(distance[:, 0] < distance[:, 1])
        return agent, first, jnp.mean(jnp.min(distance, axis=1) < 0.3)

    return jax.vmap(one)(agents, keys)


@pytest.fixture(scope="module")
def cloned():
    """Sixteen seeds after the offline phase."""
    keys = jax.random.split(statistical.key(3), SEEDS)
    create = jax.jit(jax.vmap(lambda key: DFP.create(BANDIT, 1, 1, key)), compiler_options=ONCE)
    return play(create(keys), keys, 1000)


@pytest.mark.statistical
def test_cloning_keeps_both_modes_and_flattens_their_weights(cloned):
    """With one positive per state, a weight of 0.7 comes out flatter, on average over the seeds.

    A single training is chaotic: its weight depends on the rounding of its first steps.
    """
    _, first, at_a_mode = cloned
    statistical.assert_within("first", np.mean(first), 0.55, 0.69)
    statistical.assert_within("at a mode", np.mean(at_a_mode), low=0.88)


@pytest.mark.slow
@pytest.mark.statistical
def test_transport_keeps_the_weights_of_the_modes():
    """The Sinkhorn form, whose positive takes a share of the samples, with one positive alone."""
    keys = jax.random.split(statistical.key(3), SEEDS)
    config = dataclasses.replace(BANDIT, form="sinkhorn")
    create = jax.jit(jax.vmap(lambda key: DFP.create(config, 1, 1, key)), compiler_options=ONCE)
    _, first, at_a_mode = play(create(keys), keys, 1000)
    statistical.assert_within("first", np.mean(first), 0.63, 0.77)
    statistical.assert_within("at a mode", np.mean(at_a_mode), low=0.78)


@pytest.mark.slow
@pytest.mark.statistical
def test_improvement_moves_the_mass_and_the_anchor_holds_it_back(cloned):
    """The better mode gains with an anchor that stays, and more with one that moves.

    The rest is the cloning, which goes on.
    """
    agents, first, _ = cloned

    def score_modes(agent):
        return score(agent.config, agent.critic.online, jnp.ones(1), jnp.asarray(MODES))

    values = jax.jit(jax.vmap(score_modes))(agents)
    statistical.assert_within("better value", values[:, 1], 0.85, 1.15)
    statistical.assert_within("other value", values[:, 0], high=0.3)

    better = {}
    for rate in (0.0, 1.0):
        config = dataclasses.replace(BANDIT, anchor_rate=rate)
        started = dataclasses.replace(agents.start_online(), config=config)
        keys = jax.random.split(statistical.key(4), SEEDS)
        after, other, at_a_mode = play(started, keys, 300)
        better[rate] = 1 - other
        statistical.assert_within(f"at a mode, rate {rate}", np.mean(at_a_mode), low=0.9)
        if rate == 0.0:
            assert_same(after.anchor, agents.actor)
    gain = np.mean(better[0.0] - (1 - first))
    statistical.assert_within("gain with an anchor that stays", gain, low=0.2)
    statistical.assert_within("moved further", np.mean(better[1.0] - better[0.0]), low=0.1)
    statistical.assert_within("better mode", np.mean(better[1.0]), low=0.75)
