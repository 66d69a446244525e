"""The contract that loops, evaluation and checkpoints rely on, for every method."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from driftpolicy.agents import METHODS, AgentConfig
from driftpolicy.agents.base import optimiser
from driftpolicy.agents.scoring import aggregate
from driftpolicy.runs.trees import restore_tree, tree_arrays
from tests import statistical
from tests.agents.common import (
    KEY,
    MODES,
    act,
    assert_same,
    make_batch,
    moved,
    normal,
    size,
    train,
    update,
    value_of,
)
from tests.compiling import LOOP, ONCE

# Of two names for one class, which differ in their numbers, the quick tests take one.
SECOND = {"bfn", "fql", "mvp", "dfp-bc"}
NAMES = [pytest.param(name, marks=pytest.mark.slow) if name in SECOND else name for name in METHODS]
SMALL = {
    "chunk_length": 2,
    "actor_hidden": (16,),
    "critic_hidden": (16,),
    "best_of": 3,
    "generated": 3,
    "candidates": 5,
    "positives": 2,
    "flow_steps": 3,
    "target_rate": 0.25,
    "anchor_rate": 0.125,
}

# The parts of the actor that each of a method's losses trains.
TRAINS = {
    "bfn": {"flow_loss": {"velocity"}},
    "qc-bfn": {"flow_loss": {"velocity"}},
    "fql": {"flow_loss": {"flow"}, "distillation_loss": {"student"}, "student_q": {"student"}},
    "mvp": {"mean_flow_loss": {"velocity"}, "constraint_loss": {"velocity"}},
    "dfp-bc": {"bc_loss": {"mlp"}},
    "bc": {"bc_loss": {"mlp", "log_deviation"}},
    "iql": {"value_loss": {"value"}, "bc_loss": {"policy"}},
}
TRAINS["qc-fql"] = TRAINS["fql"]
TRAINS["mvp-topk"] = TRAINS["mvp"] | {"improvement_loss": {"velocity"}}
TRAINS["dfp"] = TRAINS["dfp-bc"] | {"improvement_loss": {"mlp"}}


@partial(jax.jit, compiler_options=ONCE)
def act_each(agent, observation, keys):
    """A decision for each state, with a key each."""
    return jax.vmap(lambda one, key: act.__wrapped__(agent, one, key))(observation, keys)


@partial(jax.jit, compiler_options=ONCE)
def candidates(agent, observation, key):
    """The samples that a decision chooses from, and what each critic says of them."""
    samples = agent.actor.sample(observation, 3, key=key)
    return samples, agent.critic.online(observation[:, None], samples)


def small_config(name, **changes):
    config = METHODS[name][1]
    fields = {field.name for field in dataclasses.fields(config)}
    return config(**{k: v for k, v in (SMALL | changes).items() if k in fields})


@partial(jax.jit, static_argnums=(0, 1), compiler_options=ONCE)
def create(name, config, key):
    return METHODS[name][0].create(config, 3, 2, key)


def online(name, seed=0, **changes):
    """An agent in the online phase whose anchor and target are not its actor and critic."""
    config = small_config(name, **changes)
    agent, other = (create(name, config, statistical.key(s)) for s in (seed, seed + 1))
    critic = dataclasses.replace(agent.critic, target=other.critic.online)
    agent = dataclasses.replace(agent.start_online(), critic=critic)
    return dataclasses.replace(agent, anchor=other.actor) if hasattr(agent, "anchor") else agent


@pytest.mark.parametrize("name", NAMES)
def test_update_is_pure_and_of_the_same_form_in_both_phases(name):
    agent, batch = create(name, small_config(name), KEY), make_batch()
    after, expected = update(agent, batch, KEY)
    assert jax.tree.structure(after) == jax.tree.structure(agent)
    agent = online(name)
    before = jax.tree.map(np.array, (agent, batch))
    after, metrics = update(agent, batch, KEY)
    assert jax.tree.structure(after) == jax.tree.structure(agent)
    for one, other in zip(jax.tree.leaves(after), jax.tree.leaves(agent), strict=True):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
    assert metrics.keys() == expected.keys() >= {"loss", *TRAINS[name]}
    assert all(value.shape == () for value in metrics.values())
    assert np.isfinite(metrics["loss"])
    assert_same(update(agent, batch, KEY), (after, metrics))  # the same key, the same step
    assert_same((agent, batch), before)  # nothing is written in place
    other, _ = update(agent, batch, statistical.key(8))
    assert (moved(other, after) > 1e-6) == (name != "iql")  # which draws nothing
    assert moved(after.actor, agent.actor) > 1e-5


@pytest.mark.parametrize("name", NAMES)
def test_the_value_of_a_chunk_is_the_critics(name):
    agent, batch = online(name), make_batch()
    chunks = batch.actions.reshape(len(batch.reward), -1)

    @partial(jax.jit, compiler_options=ONCE)
    def both(agent, batch):
        expected = aggregate(agent.config, agent.critic.online(batch.observation, chunks))
        one = agent.decision_rule.value(batch.observation[3], batch.actions[3])
        return agent.decision_rule.value(batch.observation, batch.actions), expected, one

    values, expected, one = both(agent, batch)
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(one, values[3], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_loop_scan_and_seeds_side_by_side_agree(name):
    """Step by step, scanned over steps and vmapped over seeds: one and the same run."""
    agents = [online(name), online(name, seed=5)]
    batches = [make_batch(seed) for seed in range(3)]
    keys = jax.random.split(KEY, 3)
    ends = []
    for agent in agents:
        for batch, key in zip(batches, keys, strict=True):
            agent, _ = update(agent, batch, key)
        ends.append(agent)

    @partial(jax.jit, compiler_options=ONCE)
    @partial(jax.vmap, in_axes=(0, None, None))
    def run(agent, batches, keys):
        return jax.lax.scan(lambda a, x: a.update(*x), agent, (batches, keys))[0]

    stack = partial(jax.tree.map, lambda *leaves: jnp.stack(leaves))
    side_by_side = run(stack(*agents), stack(*batches), keys)
    for i, end in enumerate(ends):
        for one, other in zip(jax.tree.leaves(side_by_side), jax.tree.leaves(end), strict=True):
            np.testing.assert_allclose(one[i], other, rtol=1e-4, atol=1e-5)
    assert moved(ends[0].actor, ends[1].actor) > 0.1


@pytest.mark.parametrize("name", NAMES)
def test_each_loss_trains_its_own_parameters(name):
    """By differentiating the whole update: nothing hides behind the order of its lines."""
    start = online(name)
    names = ("critic_loss", *TRAINS[name])
    frozen = "anchor" if hasattr(start, "anchor") else None

    @partial(jax.jit, compiler_options=ONCE)
    def gradients(actor, critic, anchor):
        def losses(actor, critic, anchor):
            parts = {"actor": actor, "critic": critic} | ({frozen: anchor} if frozen else {})
            metrics = dataclasses.replace(start, **parts).update(make_batch(), KEY)[1]
            return tuple(metrics[loss] for loss in names)

        _, pull_back = jax.vjp(losses, actor, critic, anchor)
        return [pull_back(tuple(row)) for row in jnp.eye(len(names))]

    rows = gradients(start.actor, start.critic, getattr(start, "anchor", None))
    for loss, (actor, critic, anchor) in zip(names, rows, strict=True):
        assert size(critic.target) == size(anchor) == 0.0
        arrays = tree_arrays(actor).items()
        trained = {path.partition(".")[0] for path, array in arrays if size(array) > 0}
        assert trained == TRAINS[name].get(loss, set()), loss
        # The student's value depends on the critic, which it does not train: see the next test.
        assert (size(critic.online) > 0) == (loss in ("critic_loss", "student_q"))


@pytest.mark.parametrize("name", NAMES)
def test_only_its_own_loss_moves_the_critic(name):
    """With no window to learn from, the actor may learn, the critic stays where it is."""
    agent, batch = online(name), make_batch()
    batch = batch._replace(valid=jnp.zeros((6, 2)))
    after, metrics = update(agent, batch, KEY)
    assert metrics["critic_loss"] == 0.0
    assert_same(after.critic.online, agent.critic.online)
    learns_without_windows = name in ("fql", "qc-fql", "dfp", "mvp-topk")
    assert (moved(after.actor, agent.actor) > 0) == learns_without_windows


BEYOND = ("reward", "next_observation", "mask")


@pytest.mark.parametrize("name", NAMES)
def test_what_lies_beyond_an_episodes_end_teaches_nothing(name):
    batch, junk = make_batch(), make_batch(seed=1)
    batch = batch._replace(valid=batch.valid.at[-1].set(0.0))  # one window is cut, one is nothing
    agent = online(name)
    expected, _ = update(agent, batch, KEY)
    rows = {n: getattr(batch, n).at[-2:].set(getattr(junk, n)[-2:]) for n in BEYOND}
    rows["actions"] = batch.actions.at[-1].set(junk.actions[-1])
    after, _ = update(agent, batch._replace(**rows), KEY)
    assert_same(after, expected)


@pytest.mark.parametrize("name", NAMES)
def test_restored_from_its_arrays_it_goes_on_as_before(name, tmp_path):
    agent, _ = update(online(name), make_batch(), KEY)
    arrays = {key: np.asarray(value) for key, value in tree_arrays(agent).items()}
    config, method = small_config(name), METHODS[name][0]
    like = jax.eval_shape(lambda: method.create(config, 3, 2, KEY).start_online())
    restored = restore_tree(like, arrays, tmp_path)
    assert_same(restored, agent)
    assert jax.tree.structure(restored) == jax.tree.structure(agent)
    assert_same(update(restored, make_batch(1), KEY), update(agent, make_batch(1), KEY))


@pytest.mark.parametrize("name", NAMES)
def test_act_is_batched_deterministic_and_in_range(name):
    agent = online(name)
    wild = dataclasses.replace(agent, actor=jax.tree.map(lambda a: 20 * a, agent.actor))
    observation = normal(2, 5, 3)
    for state, shape in ((observation, (2, 5, 2, 2)), (observation[0, 0], (2, 2))):
        chunk = act(wild, state, KEY)
        assert chunk.shape == shape
        assert np.abs(chunk).max() == 1.0
    chunk = act(agent, observation, KEY)
    assert np.mean(np.abs(chunk) < 1.0) > 0.5
    assert_same(act(agent, observation, KEY), chunk)
    assert moved(act(agent, observation, statistical.key(0)), chunk) > 0.01
    # A batch of states with a key each is the same as one by one.
    keys = jax.random.split(KEY, 5)
    together = act_each(agent, observation[0], keys)
    for i in range(5):
        alone = act(agent, observation[0, i], keys[i])
        np.testing.assert_allclose(together[i], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_noise_drawn_beforehand_decides_alike(name):
    agent, observation = online(name), normal(3)
    noise = jax.random.normal(KEY, agent.decision_rule.noise_shape)

    @partial(jax.jit, compiler_options=ONCE)
    def decide(agent):
        rule = agent.decision_rule
        return rule(observation, noise), *rule.candidates(observation, noise)

    chunk, chunks, values = decide(agent)
    np.testing.assert_allclose(chunk, act(agent, observation, KEY), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(chunk, chunks[np.argmax(values)])


@pytest.mark.parametrize("name", NAMES)
def test_one_sample_needs_no_critic(name):
    agent = online(name, best_of=1)
    broken = jax.tree.map(lambda a: jnp.full_like(a, jnp.nan), agent.critic)
    chunk = act(dataclasses.replace(agent, critic=broken), normal(5, 3), KEY)
    sample = jax.jit(lambda actor: actor.sample(normal(5, 3), 1, key=KEY), compiler_options=ONCE)(
        agent.actor
    )
    np.testing.assert_allclose(chunk.reshape(5, 1, 4), sample, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_act_takes_the_best_of_its_samples(name):
    agent = online(name)
    observation = normal(50, 3)
    samples, values = candidates(agent, observation, KEY)
    values = np.asarray(values)
    aggregate = np.min if agent.config.critic_aggregation == "min" else np.mean
    best = aggregate(values, axis=0).argmax(axis=1)
    assert set(best) == {0, 1, 2}  # no position is preferred
    expected = np.asarray(samples)[np.arange(50), best].reshape(50, 2, 2)
    np.testing.assert_allclose(act(agent, observation, KEY), expected, rtol=1e-4, atol=1e-5)


# --- the bandit of common.py ---------------------------------------------------------------------

# The least and the most that a method's decisions are worth on average after both phases; no
# decision is worth more than 1.
WORTH = dict.fromkeys(METHODS, (0.85, np.inf))
WORTH["bc"] = (0.35, 0.65)  # imitates the mean of both modes, and knows nothing better
SEEDS = 8


@pytest.mark.slow
@pytest.mark.statistical
@pytest.mark.parametrize("name", METHODS)
def test_learns_the_bandit(name):
    config = small_config(
        name,
        actor_hidden=(32, 32),
        critic_hidden=(32,),
        learning_rate=1e-2,
        target_rate=5e-3,
        anchor_rate=1e-4,
        generated=8,
        candidates=16,
        positives=4,
        best_of={"fql": 1, "qc-fql": 1, "bc": 1, "iql": 1}.get(name, 8),
        flow_steps=10,
        distillation_weight=1.0,
        terminal_windows="keep",
    )

    @partial(jax.jit, compiler_options=LOOP)
    @jax.vmap
    def play(key):
        agent = METHODS[name][0].create(config, 1, 1, key)
        agent = train(agent, jax.random.fold_in(key, 1), 600)
        samples = agent.actor.sample(jnp.ones(1), 500, key=key)
        agent = train(agent.start_online(), jax.random.fold_in(key, 2), 200)
        keys = jax.random.split(key, 500)
        chunks = jax.vmap(lambda key: act.__wrapped__(agent, jnp.ones(1), key))(keys)[..., 0]
        distance = jnp.linalg.norm(samples[:, None] - MODES[None], axis=-1)
        return jnp.mean(value_of(chunks)), jnp.mean(distance.argmin(axis=1) == 0)

    worth, first = play(jax.random.split(statistical.key(3), SEEDS))
    least, most = WORTH[name]
    statistical.assert_within("worth", np.mean(worth), least, most)
    if name not in ("fql", "qc-fql", "bc", "iql"):  # whose policies are pulled, or have one mode
        statistical.assert_within("first", np.mean(first), 0.5, 0.85)  # 0.7 in the data


def test_the_step_size_falls_to_a_twentieth_along_a_cosine():
    """Under a constant gradient Adam's steps are the step size."""
    for decay, expected in (
        (0, np.full(13, 1e-2)),
        (10, 1e-2 * (0.05 + 0.95 * (1 + np.cos(np.pi * np.arange(13).clip(max=10) / 10)) / 2)),
    ):
        adam = optimiser(AgentConfig(learning_rate=1e-2, decay_steps=decay))
        state, steps = adam.init(jnp.zeros(1)), []
        for _ in range(13):
            step, state = adam.update(jnp.ones(1), state)
            steps.append(-float(step[0]))
        np.testing.assert_allclose(steps, expected, rtol=1e-4)
