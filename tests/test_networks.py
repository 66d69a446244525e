"""The networks against their textbook forms."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from driftpolicy.networks import MLP, CriticEnsemble, LayerNorm, Linear, Pushforward
from tests import statistical
from tests.compiling import ONCE

once = partial(jax.jit, compiler_options=ONCE)


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def random_like(tree, seed):
    """The same tree with every number drawn anew: no zero bias or unit scale to hide behind."""
    leaves, shape = jax.tree.flatten(tree)
    leaves = [jnp.asarray(normal([seed, i], *leaf.shape)) for i, leaf in enumerate(leaves)]
    return jax.tree.unflatten(shape, leaves)


def create(module, *sizes, seed=0, **options):
    return once(lambda key: module(*sizes, key=key, **options))(statistical.key(seed))


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def layer_norm(x, norm):
    mean = x.mean(axis=-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(axis=-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + 1e-6) * np.asarray(norm.scale) + np.asarray(norm.offset)


def affine(x, layer):
    return x @ np.asarray(layer.weight, np.float64) + np.asarray(layer.bias, np.float64)


def textbook(mlp, *parts):
    """The network in float64, on the parts concatenated."""
    batch = np.broadcast_shapes(*(part.shape[:-1] for part in parts))
    parts = [np.broadcast_to(part, (*batch, part.shape[-1])) for part in parts]
    x = affine(np.concatenate(parts, axis=-1).astype(np.float64), mlp.layers[0])
    for i, layer in enumerate(mlp.layers[1:]):
        x = gelu(x)
        x = affine(layer_norm(x, mlp.norms[i]) if mlp.norms else x, layer)
    return x


@once
def call(module, *arguments):
    return module(*arguments)


@pytest.mark.statistical
def test_initialisation_is_uniform_with_variance_of_the_fan_average():
    layer = create(Linear, 300, 100)
    bound = np.sqrt(6 / 400)
    assert layer.weight.shape == (300, 100)
    assert np.abs(layer.weight).max() <= bound
    scaled = np.asarray(layer.weight) / bound
    assert np.abs(scaled).max() > 0.99  # all but a share of 0.99^30000 of all seeds
    # Uniform: the fourth moment too, not only the bound and the variance.
    statistical.assert_within("second moment", 3 * np.mean(scaled**2), 0.97, 1.03)
    statistical.assert_within("fourth moment", 5 * np.mean(scaled**4), 0.95, 1.05)
    np.testing.assert_array_equal(layer.bias, np.zeros(100))
    other = create(Linear, 300, 100, seed=1)
    assert np.mean(other.weight == layer.weight) < 0.01


def test_layers_of_a_network_start_independent_and_norms_as_the_identity():
    mlp = create(MLP, 8, (8, 8), 8, layer_norm=True)
    weights = [np.asarray(layer.weight) for layer in mlp.layers]
    assert not np.any(weights[0] == weights[1])
    assert not np.any(weights[1] == weights[2])
    for norm in mlp.norms:
        np.testing.assert_array_equal(norm.scale, 1.0)
        np.testing.assert_array_equal(norm.offset, 0.0)


def test_parts_equal_their_concatenation():
    layer = random_like(create(Linear, 9, 4), 1)
    x = normal(2, 5, 9)
    expected = affine(x.astype(np.float64), layer)
    for cuts in ((), (2,), (2, 3)):
        got = call(layer, *np.split(x, cuts, axis=1))
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_parts_broadcast():
    """One observation for many noises, as written out; the parts' ranks may differ."""
    layer = random_like(create(Linear, 5, 4), 1)
    state, noise = normal(2, 6, 1, 2), normal(3, 7, 3)
    repeated = np.concatenate(
        [np.broadcast_to(state, (6, 7, 2)), np.broadcast_to(noise, (6, 7, 3))], axis=-1
    )
    got = call(layer, state, noise)
    assert got.shape == (6, 7, 4)
    np.testing.assert_allclose(got, affine(repeated, layer), rtol=1e-4, atol=1e-5)
    one = call(layer, state[0, 0], noise[0])  # no batch axis at all
    np.testing.assert_allclose(one, got[0, 0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("widths", [(3,), (5,), (2, 1), (2, 3)])
def test_a_wrong_number_of_features_is_refused(widths):
    layer = create(Linear, 4, 2)
    # Too few or too many: the product itself may refuse first, with JAX's own error.
    with pytest.raises((ValueError, TypeError)):
        layer(*(jnp.ones((3, width)) for width in widths))


def test_too_few_features_are_named():
    """Each part alone fits, so only the layer itself can know."""
    layer = create(Linear, 4, 2)
    with pytest.raises(ValueError, match="expected 4 input features, got 3"):
        layer(jnp.ones((3, 2)), jnp.ones((3, 1)))


@pytest.mark.parametrize(("mean", "deviation"), [(0.0, 1.0), (3.0, 0.5), (-1.0, 10.0), (0.4, 0.0)])
def test_layer_norm_then_linear_equals_the_textbook(mean, deviation):
    norm = random_like(LayerNorm(32), 1)
    layer = random_like(create(Linear, 32, 6), 2)
    x = np.float32(mean) + np.float32(deviation) * normal(3, 3, 4, 32)
    expected = affine(layer_norm(np.asarray(x, np.float64), norm), layer)
    got = once(LayerNorm.then)(norm, layer, x)
    # Rows without spread divide rounding errors by sqrt(1e-6): some digits are lost there.
    atol = 1e-4 * np.abs(expected).max() if deviation else 0.01
    np.testing.assert_allclose(got, expected, atol=atol, rtol=0)


def test_layer_norm_has_the_textbook_gradient():
    norm = random_like(LayerNorm(16), 1)
    layer = random_like(create(Linear, 16, 3), 2)
    x = jnp.asarray(normal(3, 5, 16))

    def textbook(norm, layer, x):
        centred = x - jnp.mean(x, axis=-1, keepdims=True)
        deviation = jnp.sqrt(jnp.mean(centred**2, axis=-1, keepdims=True) + 1e-6)
        y = centred / deviation * norm.scale[None] + norm.offset[None]
        return y @ layer.weight + layer.bias[None]

    def gradient(apply):
        return once(jax.grad(lambda *a: jnp.sum(jnp.sin(apply(*a))), argnums=(0, 1, 2)))

    got = gradient(LayerNorm.then)(norm, layer, x)
    expected = gradient(textbook)(norm, layer, x)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize("with_norm", [False, True])
def test_mlp_equals_the_textbook(with_norm):
    mlp = create(MLP, 6, (16, 12), 3, layer_norm=with_norm)
    assert [layer.weight.shape for layer in mlp.layers] == [(6, 16), (16, 12), (12, 3)]
    assert [norm.scale.shape for norm in mlp.norms] == ([(16,), (12,)] if with_norm else [])
    mlp = jax.tree.map(lambda a, b: a + 0.3 * b, mlp, random_like(mlp, 1))
    x = normal(2, 2, 5, 6)
    got = call(mlp, x[..., :2], x[..., 2:])
    expected = textbook(mlp, x)
    np.testing.assert_allclose(got, expected, atol=1e-4 * np.abs(expected).max(), rtol=0)


def test_pushforward_is_a_function_of_state_and_noise():
    policy = random_like(create(Pushforward, 3, 4, (8,)), 1)
    state, noise = normal(2, 5, 1, 3), normal(3, 6, 4)
    got = call(policy, state, noise)
    assert got.shape == (5, 6, 4)
    np.testing.assert_allclose(got, textbook(policy.mlp, state, noise), rtol=1e-4, atol=1e-4)
    assert np.abs(got).max() > 1  # the output itself is not clipped


@pytest.mark.statistical
def test_samples_are_the_policy_of_normal_noise_clipped():
    policy = random_like(create(Pushforward, 3, 2, (8,)), 1)
    state = normal(2, 4, 5, 3)

    @partial(once, static_argnums=2)
    def sample(policy, state, count, key):
        return policy.sample(state, count, key=key)

    samples = sample(policy, state, 7, statistical.key(3))
    assert samples.shape == (4, 5, 7, 2)
    noise = jax.random.normal(statistical.key(3), (4, 5, 7, 2))
    pushed = textbook(policy.mlp, state[:, :, None], np.asarray(noise))
    np.testing.assert_allclose(samples, np.clip(pushed, -1, 1), atol=1e-4)
    # The clipping had something to do, and something to leave.
    statistical.assert_within("clipped", np.mean(np.abs(pushed) > 1), 0.1, 0.9)
    np.testing.assert_array_equal(sample(policy, state, 7, statistical.key(3)), samples)

    # In one and the same state, each row and each sample has noise of its own; so has each key.
    policy = jax.tree.map(lambda a: 0.1 * a, policy)  # small enough to clip nothing
    alike = [sample(policy, np.zeros((4, 5, 3), np.float32), 7, statistical.key(k)) for k in (1, 2)]
    assert len(np.unique(np.reshape(alike, (-1, 2)), axis=0)) == 2 * 4 * 5 * 7
    assert sample(policy, state[0, 0], 7, statistical.key(3)).shape == (7, 2)


def test_critics_are_independent_networks():
    critic = create(CriticEnsemble, 3, 4, (8, 6), members=3)
    assert len(critic.members) == 3
    firsts = [np.asarray(member.layers[0].weight) for member in critic.members]
    assert not np.any(firsts[0] == firsts[1])
    assert not np.any(firsts[1] == firsts[2])
    assert len({float(member.layers[-1].weight[0, 0]) for member in critic.members}) == 3
    state, chunks = normal(2, 5, 1, 3), normal(3, 5, 6, 4)
    values = call(critic, state, chunks)
    assert values.shape == (3, 5, 6)
    for value, member in zip(values, critic.members, strict=True):
        assert len(member.norms) == 2  # GELU, then layer norm, after each hidden layer
        expected = textbook(member, state, chunks)[..., 0]
        np.testing.assert_allclose(value, expected, rtol=1e-3, atol=1e-4)

    # A member's value depends on that member's parameters and on no other's.
    second = once(jax.grad(lambda c, *a: jnp.sum(c(*a)[1])))
    gradient = second(critic, state, chunks)
    norms = [sum(float(jnp.sum(g**2)) for g in jax.tree.leaves(m)) for m in gradient.members]
    assert norms[0] == norms[2] == 0.0
    assert norms[1] > 0.0
