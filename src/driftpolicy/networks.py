"""Networks: policies, velocity fields and the critic ensemble, as plain batched Equinox modules.

Everything works on leading batch axes of any number; nothing is vmapped over rows. Where the
fastest form depends on the machine, a module holds the form it has, and
:mod:`driftpolicy.agents.forms` changes it. The members of a critic ensemble are separate products
here, since on a CPU a batched product of two members runs at half the speed of two plain ones.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

_LAYER_NORM_EPSILON = 1e-6
_FEW_ROWS = 64  # a decision's, not an update's
_Network = TypeVar("_Network", bound=eqx.Module)


def lift(x: Float[Array, "..."], rank: int) -> Float[Array, "..."]:
    """``x`` with leading axes of one up to ``rank``: broadcasting over batch axes is said aloud."""
    return jax.lax.expand_dims(x, range(rank - x.ndim))


def product(
    x: Float[Array, "... inputs"], weight: Float[Array, "inputs outputs"]
) -> Float[Array, "... outputs"]:
    """``x W``, each factor rounded to the type of ``W``, summed in float32.

    As one product of two matrices, whatever the leading axes are: the gradient of ``W`` is then one
    too. From more axes XLA transposes it into a form that on a CPU takes up to ten times as long.
    """
    rows = x.reshape(-1, x.shape[-1]).astype(weight.dtype)
    result = jnp.matmul(rows, weight, preferred_element_type=jnp.float32)
    return result.reshape(*x.shape[:-1], weight.shape[-1])


def round_weights(network: _Network, dtype: Any) -> _Network:
    """Return the network with its weight matrices, hence its products' factors, in ``dtype``."""

    def cast(path: tuple[Any, ...], array: Array) -> Array:
        matrix = any(getattr(key, "name", None) in ("weight", "weights") for key in path)
        return array.astype(dtype) if matrix else array

    return jax.tree_util.tree_map_with_path(cast, network)


class Linear(eqx.Module):
    """``x W + b`` on the last axis; ``W`` uniform variance scaling (fan average, 1), ``b`` zero."""

    weight: Float[Array, "inputs outputs"]
    bias: Float[Array, " outputs"]

    def __init__(self, inputs: int, outputs: int, *, key: PRNGKeyArray):
        """``W ~ U(-l, l)`` with ``l = sqrt(6 / (inputs + outputs))``."""
        init = jax.nn.initializers.variance_scaling(1.0, "fan_avg", "uniform")
        self.weight = init(key, (inputs, outputs), jnp.float32)
        self.bias = jnp.zeros(outputs)

    def __call__(self, *parts: Float[Array, "..."]) -> Float[Array, "..."]:
        """Apply to the concatenation of ``parts`` along the last axis, broadcasting the others.

        The concatenation is never formed: each part meets its own rows of ``W``, so an observation
        shared by many noises or candidate chunks is multiplied once.
        """
        rank = max(part.ndim for part in parts)
        total = lift(self.bias, rank)
        start = 0
        for part in parts:
            stop = start + part.shape[-1]
            total = lift(product(part, self.weight[start:stop]), rank) + total
            start = stop
        if start != self.weight.shape[0]:
            raise ValueError(f"expected {self.weight.shape[0]} input features, got {start}")
        return total


class LayerNorm(eqx.Module):
    """``(x - mean) / sqrt(var + 1e-6) * scale + offset`` over the last axis, then a linear layer.

    Formed without the normalised activations: with ``W' = diag(scale) W`` and its columns centred,
    ``LN(x) W + b = (x W') / sqrt(var + 1e-6) + (offset W + b)``, so the only pass over ``x`` beside
    the product is for its mean and variance. On a CPU this removes most of the norm's cost. For the
    few rows of a decision, forming ``W'`` would be most of the cost: they are normalised.

    The variance is ``E[x^2] - E[x]^2``: its relative error is the rounding error times
    ``1 + (mean / deviation)^2``, harmless for activations of a GELU.
    """

    scale: Float[Array, " features"]
    offset: Float[Array, " features"]

    def __init__(self, features: int):
        """Scale one, offset zero."""
        self.scale = jnp.ones(features)
        self.offset = jnp.zeros(features)

    def then(self, layer: Linear, x: Float[Array, "... features"]) -> Float[Array, "... outputs"]:
        """``layer(LN(x))``."""
        # The barriers keep the compiler from merging the row statistics with the products around
        # them, which on a CPU costs half as much again as the products.
        x = jax.lax.optimization_barrier(x)
        mean = jnp.mean(x, axis=-1, keepdims=True)
        square = jnp.mean(x**2, axis=-1, keepdims=True)
        mean, square = jax.lax.optimization_barrier((mean, square))
        deviation = jnp.sqrt(jnp.maximum(square - mean**2, 0.0) + _LAYER_NORM_EPSILON)
        if x.size // x.shape[-1] <= _FEW_ROWS:  # then the weights are larger than what they meet
            scale, offset = lift(self.scale, x.ndim), lift(self.offset, x.ndim)
            return layer((x - mean) / deviation * scale + offset)
        own = layer.weight.astype(jnp.float32)
        weight = self.scale[:, None] * own
        weight = weight - jnp.mean(weight, axis=0, keepdims=True)
        bias = self.offset @ own + layer.bias
        centred = product(x, weight.astype(layer.weight.dtype))
        return centred / deviation + lift(bias, x.ndim)

    def __call__(self, x: Float[Array, "... features"]) -> Float[Array, "... features"]:
        """Return ``LN(x)``, as accelerators prefer it.

        The variance is that of centred activations: so XLA makes one kernel of the norm and of what
        leads to it.
        """
        centred = x - jnp.mean(x, axis=-1, keepdims=True)
        variance = jnp.mean(centred * centred, axis=-1, keepdims=True)
        normalised = centred * jax.lax.rsqrt(variance + _LAYER_NORM_EPSILON)
        return normalised * lift(self.scale, x.ndim) + lift(self.offset, x.ndim)


class MLP(eqx.Module):
    """Hidden layers of GELU (tanh form), each followed by layer norm if asked; linear output."""

    layers: tuple[Linear, ...]
    norms: tuple[LayerNorm, ...]

    def __init__(
        self,
        inputs: int,
        hidden: Sequence[int],
        outputs: int,
        *,
        layer_norm: bool = False,
        key: PRNGKeyArray,
    ):
        """``hidden`` lists the widths of the hidden layers."""
        sizes = [inputs, *hidden, outputs]
        keys = jax.random.split(key, len(sizes) - 1)
        self.layers = tuple(
            Linear(a, b, key=k) for a, b, k in zip(sizes[:-1], sizes[1:], keys, strict=True)
        )
        self.norms = tuple(LayerNorm(width) for width in hidden) if layer_norm else ()

    def __call__(self, *parts: Float[Array, "..."]) -> Float[Array, "... outputs"]:
        """Apply to the concatenation of ``parts`` along the last axis, broadcasting the others."""
        x = self.layers[0](*parts)
        for i, layer in enumerate(self.layers[1:]):
            x = jax.nn.gelu(x)
            x = self.norms[i].then(layer, x) if self.norms else layer(x)
        return x


def draw_noise(
    observation: Float[Array, "*batch observation"], count: int, dim: int, *, key: PRNGKeyArray
) -> Float[Array, "*batch {count} {dim}"]:
    """``count`` draws of ``eps ~ N(0, I)`` for each state."""
    return jax.random.normal(key, (*observation.shape[:-1], count, dim), observation.dtype)


class Actor(eqx.Module):
    """A module of parameters that makes action chunks of noise."""

    @property
    @abstractmethod
    def noise_dim(self) -> int:
        """``S``, the numbers of the noise from which one chunk is made."""

    @abstractmethod
    def push(
        self,
        observation: Float[Array, "*batch observation"],
        noise: Float[Array, "*batch count chunk"],
    ) -> Float[Array, "*batch count chunk"]:
        """Return the chunks, in [-1, 1], that these draws of ``N(0, I)`` become in each state."""

    def sample(
        self, observation: Float[Array, "*batch observation"], count: int, *, key: PRNGKeyArray
    ) -> Float[Array, "*batch {count} chunk"]:
        """``count`` chunks in [-1, 1] for each state."""
        return self.push(observation, draw_noise(observation, count, self.noise_dim, key=key))


class Pushforward(Actor):
    """The one-step policy ``a = f(eps, s)``, ``pi(.|s) = f(., s)# N(0, I)``."""

    mlp: MLP
    chunk_dim: int = eqx.field(static=True)

    def __init__(
        self, observation_dim: int, chunk_dim: int, hidden: Sequence[int], *, key: PRNGKeyArray
    ):
        """``chunk_dim`` is ``S``, the H actions of a chunk flattened."""
        self.mlp = MLP(observation_dim + chunk_dim, hidden, chunk_dim, key=key)
        self.chunk_dim = chunk_dim

    def __call__(
        self, observation: Float[Array, "... observation"], noise: Float[Array, "... chunk"]
    ) -> Float[Array, "... chunk"]:
        """Push ``noise`` forward; leading axes broadcast. The output is not clipped."""
        return self.mlp(observation, noise)

    @property
    def noise_dim(self) -> int:
        """``S``."""
        return self.chunk_dim

    def push(
        self,
        observation: Float[Array, "*batch observation"],
        noise: Float[Array, "*batch count chunk"],
    ) -> Float[Array, "*batch count chunk"]:
        """``clip(f(eps_i, s), -1, 1)`` in each state.

        A number that was clipped has no gradient: a loss on the samples cannot pull it back.
        """
        return jnp.clip(self(observation[..., None, :], noise), -1.0, 1.0)


class VelocityField(eqx.Module):
    """``v(s, x, t)``: a velocity of action chunks, at one time or between several."""

    mlp: MLP
    chunk_dim: int = eqx.field(static=True)

    def __init__(
        self,
        observation_dim: int,
        chunk_dim: int,
        hidden: Sequence[int],
        *,
        times: int = 1,
        key: PRNGKeyArray,
    ):
        """``times`` is how many times the field takes: 1 for ``t``, 2 for ``(r, t)``."""
        self.mlp = MLP(observation_dim + chunk_dim + times, hidden, chunk_dim, key=key)
        self.chunk_dim = chunk_dim

    def __call__(
        self,
        observation: Float[Array, "... observation"],
        x: Float[Array, "... chunk"],
        times: Float[Array, "... times"],
    ) -> Float[Array, "... chunk"]:
        """The velocity at ``x``; leading axes broadcast."""
        return self.mlp(observation, x, times)


class CriticEnsemble(eqx.Module):
    """``Q_i(s, a)`` for each member ``i``: GELU then layer norm, linear output of one number."""

    members: Any
    """A tuple of one MLP each; in the form for accelerators one network with a leading axis."""

    def __init__(
        self,
        observation_dim: int,
        chunk_dim: int,
        hidden: Sequence[int],
        *,
        members: int,
        key: PRNGKeyArray,
    ):
        """``members`` networks with independent initialisations."""
        self.members = tuple(
            MLP(observation_dim + chunk_dim, hidden, 1, layer_norm=True, key=k)
            for k in jax.random.split(key, members)
        )

    def __call__(
        self, observation: Float[Array, "... observation"], chunk: Float[Array, "... chunk"]
    ) -> Float[Array, "members ..."]:
        """The value of every member; the leading axes of the two arguments broadcast."""
        if not isinstance(self.members, tuple):
            # One copy of the input for each member: gradients of the first layer are then batched
            # products like all others, instead of one that has to be transposed.
            count = jax.tree.leaves(self.members)[0].shape[0]
            given = [jnp.broadcast_to(part, (count, *part.shape)) for part in (observation, chunk)]
            return jax.vmap(lambda member, *parts: member(*parts)[..., 0])(self.members, *given)
        return jnp.stack([member(observation, chunk)[..., 0] for member in self.members])
