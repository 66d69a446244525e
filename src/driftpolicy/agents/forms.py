"""The two forms of an agent: one for CPUs and checkpoints, one for accelerators.

A CPU is fastest with separate products for each critic and with the layer norm folded into the next
layer's weights. An accelerator spends most of a gradient step on launching small kernels, so there
few arrays hold the parameters of a network, and the critics are stacked. Both forms are the same
function; the form is part of an agent's structure, so a compiled program never mixes them.
"""

import dataclasses
from collections.abc import Callable
from itertools import accumulate, zip_longest
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from driftpolicy.networks import MLP, CriticEnsemble, LayerNorm

_Tree = TypeVar("_Tree")


class PackedMLP(eqx.Module):
    """An :class:`driftpolicy.networks.MLP` in few arrays, which compiles to few kernels.

    The mathematics are those of the MLP that :meth:`unpack` returns, whose arrays are views.
    """

    weights: tuple[Float[Array, "..."], ...]
    """The weight of each layer, ``[*stack, outputs, inputs]``: its gradient is a plain product."""
    vectors: Float[Array, "..."]
    """The biases of the layers, then scale and offset of each norm."""
    lengths: tuple[int, ...] = eqx.field(static=True)
    """How many of ``vectors`` belong to each bias, scale and offset."""
    structure: Any = eqx.field(static=True)
    """The structure of the MLP."""

    @classmethod
    def pack(cls, mlp: MLP) -> "PackedMLP":
        """Return the packed form of an MLP, or of several whose arrays are stacked."""
        vectors = [*(layer.bias for layer in mlp.layers), *jax.tree.leaves(mlp.norms)]
        return cls(
            weights=tuple(jnp.swapaxes(layer.weight, -1, -2) for layer in mlp.layers),
            vectors=jnp.concatenate(vectors, axis=-1),
            lengths=tuple(vector.shape[-1] for vector in vectors),
            structure=jax.tree.structure(mlp),
        )

    def unpack(self) -> MLP:
        """Return the MLP; the inverse of :meth:`pack`."""
        ends = list(accumulate(self.lengths))[:-1]
        vectors = jnp.split(self.vectors, ends, axis=-1)
        layers = [
            array
            for weight, bias in zip(self.weights, vectors, strict=False)
            for array in (jnp.swapaxes(weight, -1, -2), bias)
        ]
        return jax.tree.unflatten(self.structure, [*layers, *vectors[len(self.weights) :]])

    def __call__(self, *parts: Float[Array, "..."]) -> Float[Array, "... outputs"]:
        """Apply to the concatenation of ``parts`` along the last axis, broadcasting the others."""
        batch = jnp.broadcast_shapes(*(part.shape[:-1] for part in parts))
        x = jnp.concatenate([_spread(part, batch) for part in parts], axis=-1)
        # One vector for each row: so the gradients of all vectors are one sum over the rows.
        mlp = dataclasses.replace(self, vectors=_spread(self.vectors, batch)).unpack()
        for layer, norm in zip_longest(mlp.layers[:-1], mlp.norms):
            x = _activate(norm, layer(x))
        return mlp.layers[-1](x)


@jax.custom_jvp
def _activate(norm: LayerNorm | None, x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Apply GELU and the norm, if there is one; the backward pass computes both anew.

    What the forward pass would keep for the backward one costs more launches than it saves.
    """
    return jax.nn.gelu(x) if norm is None else norm(jax.nn.gelu(x))


@_activate.defjvp
def _activate_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    """Differentiate at another copy of ``x`` for each argument, so that nothing is shared."""
    (norm, x), (norm_tangent, x_tangent) = primals, tangents
    first = jax.lax.optimization_barrier(x)
    second, _ = jax.lax.optimization_barrier((x, x))  # the compiler merges barriers that are equal
    plain = _activate.__wrapped__
    by_norm = jax.jvp(lambda norm: plain(norm, first), (norm,), (norm_tangent,))[1]
    by_x = jax.jvp(lambda x: plain(norm, x), (second,), (x_tangent,))[1]
    return _activate(norm, x), by_norm + by_x


def _spread(x: Float[Array, "... features"], batch: tuple[int, ...]) -> Float[Array, "..."]:
    return jnp.broadcast_to(x, (*batch, x.shape[-1]))


def to_accelerator(tree: _Tree) -> _Tree:
    """Return agents, networks or optimiser states in the form for accelerators."""

    def stack(ensemble: CriticEnsemble) -> CriticEnsemble:
        if isinstance(ensemble.members, tuple):
            members = jax.tree.map(lambda *arrays: jnp.stack(arrays), *ensemble.members)
            return _ensemble(ensemble, members)
        return ensemble

    return _each(MLP, PackedMLP.pack, _each(CriticEnsemble, stack, tree))


def to_storage(tree: _Tree) -> _Tree:
    """Return the form for CPUs and checkpoints; the inverse of :func:`to_accelerator`, exactly."""

    def unstack(ensemble: CriticEnsemble) -> CriticEnsemble:
        if isinstance(ensemble.members, tuple):
            return ensemble
        count = jax.tree.leaves(ensemble.members)[0].shape[0]
        members = tuple(
            jax.tree.map(lambda array, i=i: array[i], ensemble.members) for i in range(count)
        )
        return _ensemble(ensemble, members)

    return _each(CriticEnsemble, unstack, _each(PackedMLP, PackedMLP.unpack, tree))


def _ensemble(ensemble: CriticEnsemble, members: Any) -> CriticEnsemble:
    return eqx.tree_at(lambda e: e.members, ensemble, members, is_leaf=lambda m: m is None)


def _each(kind: type, change: Callable[[Any], Any], tree: _Tree) -> _Tree:
    """Return the tree with every module of a kind changed."""

    def apply(node: Any) -> Any:
        return change(node) if isinstance(node, kind) else node

    return jax.tree.map(apply, tree, is_leaf=lambda node: isinstance(node, kind))
