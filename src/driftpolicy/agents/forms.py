"""The two forms of an agent: one for CPUs and checkpoints, one for accelerators.

A CPU is fastest with separate products for each critic and with the layer norm folded into the next
layer's weights. An accelerator spends most of a gradient step on launching small kernels, so there
the critics are stacked and the layer norm is the plain one. Both forms are the same function; the
form is part of an agent's structure, so a compiled program never mixes them.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp

from driftpolicy.networks import MLP, CriticEnsemble, LayerNorm

_Tree = TypeVar("_Tree")


def to_accelerator(tree: _Tree) -> _Tree:
    """Return agents, networks or optimiser states in the form for accelerators."""

    def stack(ensemble: CriticEnsemble) -> CriticEnsemble:
        if isinstance(ensemble.members, MLP):
            return ensemble
        members = jax.tree.map(lambda *arrays: jnp.stack(arrays), *ensemble.members)
        return _ensemble(ensemble, members)

    return _each(CriticEnsemble, stack, _each(LayerNorm, partial(_norm, folded=False), tree))


def to_storage(tree: _Tree) -> _Tree:
    """Return the form for CPUs and checkpoints; the inverse of :func:`to_accelerator`, exactly."""

    def unstack(ensemble: CriticEnsemble) -> CriticEnsemble:
        if not isinstance(ensemble.members, MLP):
            return ensemble
        count = jax.tree.leaves(ensemble.members)[0].shape[0]
        members = tuple(
            jax.tree.map(lambda array, i=i: array[i], ensemble.members) for i in range(count)
        )
        return _ensemble(ensemble, members)

    tree = _each(CriticEnsemble, unstack, tree)
    return _each(LayerNorm, partial(_norm, folded=True), tree)


def _norm(norm: LayerNorm, *, folded: bool) -> LayerNorm:
    values = (norm.scale, norm.offset)
    return eqx.tree_at(lambda n: (n.scale, n.offset), LayerNorm(1, folded=folded), values)


def _ensemble(ensemble: CriticEnsemble, members: Any) -> CriticEnsemble:
    return eqx.tree_at(lambda e: e.members, ensemble, members, is_leaf=lambda m: m is None)


def _each(kind: type, change: Callable[[Any], Any], tree: _Tree) -> _Tree:
    """Return the tree with every module of a kind changed."""

    def apply(node: Any) -> Any:
        return change(node) if isinstance(node, kind) else node

    return jax.tree.map(apply, tree, is_leaf=lambda node: isinstance(node, kind))
