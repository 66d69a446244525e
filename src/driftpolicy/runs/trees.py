"""Modules as named arrays, and back: every array stands under the path of its field."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from driftpolicy.errors import UserError

_Tree = TypeVar("_Tree")


def tree_arrays(tree: Any) -> dict[str, Any]:
    """Return the arrays of a module by the path of their field."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}


def restore_tree(like: _Tree, arrays: Mapping[str, np.ndarray], path: Path) -> _Tree:
    """Return a module like ``like``, of which shapes suffice, with these arrays.

    Raises:
        UserError: naming the first array that is missing, unknown, or of another shape or type.
    """
    expected = tree_arrays(like)
    shapes = {name: (leaf.shape, leaf.dtype) for name, leaf in expected.items()}
    require_arrays(shapes, arrays, path)
    structure = jax.tree.structure(like)
    return jax.tree.unflatten(structure, [jnp.asarray(arrays[name]) for name in expected])


def require_arrays(
    expected: Mapping[str, tuple[tuple[int, ...], Any]],
    arrays: Mapping[str, np.ndarray],
    path: Path,
) -> None:
    """Refuse arrays of other names, shapes or types than those that are expected.

    Args:
        expected: shape and type by name; a length of -1 stands for any.
        arrays: as a checkpoint holds them.
        path: of the checkpoint.

    Raises:
        UserError: naming the first array that is missing, unknown, or of another shape or type.
    """
    for name in sorted(set(expected) ^ set(arrays)):
        verb = "lacks" if name in expected else "holds an unknown"
        raise UserError(f"checkpoint {path} {verb} {name}: it is of another version or config")
    for name, (shape, dtype) in expected.items():
        array = arrays[name]
        pairs = zip(array.shape, shape, strict=False)
        same = array.ndim == len(shape) and all(wanted in (-1, n) for n, wanted in pairs)
        if not same or array.dtype != dtype:
            raise UserError(
                f"checkpoint {path}: {name} is {array.dtype}{array.shape}, "
                f"the config says {np.dtype(dtype)}{tuple(shape)}"
            )


def require_finite(arrays: Mapping[str, Any], what: str) -> None:
    """Refuse an agent whose parameters, or what the optimiser keeps beside them, are not finite.

    Args:
        arrays: by their names.
        what: the beginning of the message.

    Raises:
        UserError: naming the first array with NaN or infinity.
    """
    for name, array in arrays.items():
        array = np.asarray(array)
        if jnp.issubdtype(array.dtype, jnp.floating) and not np.isfinite(array).all():
            raise UserError(
                f"{what}: {name} holds NaN or infinity; train from an earlier checkpoint with a "
                "lower --learning-rate, or check the data"
            )
