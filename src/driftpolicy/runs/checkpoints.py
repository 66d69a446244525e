"""Checkpoints: one checksummed ``.npz`` file each, atomic, versioned, never pickled.

A checkpoint holds the config, every array of the agent (parameters, target, anchor, optimiser), the
replay, the environment's state, the pending chunk and the counters from which all random numbers
follow. Arrays are stored under the path of their field, so a file that does not fit the program
that reads it is refused by name instead of being filled in.
"""

import json
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from driftpolicy.data.files import read_npz, write_npz
from driftpolicy.errors import UserError

VERSION = 2
KEPT = 2
_Tree = TypeVar("_Tree")


def _path(folder: Path, step: int) -> Path:
    return folder / f"step-{step:010d}.npz"


def save(folder: Path, step: int, meta: dict[str, Any], groups: dict[str, Any]) -> Path:
    """Store ``meta`` (plain JSON values) and groups of named arrays; drop all but the last two.

    Args:
        folder: where checkpoints live.
        step: the training step, part of the file's name.
        meta: small things; must survive JSON.
        groups: by group name, ``{array name: array}``.

    Raises:
        UserError: if the disk is full; earlier checkpoints stay intact.
    """
    arrays = {"meta": np.array(json.dumps({"version": VERSION, **meta}))}
    for group, members in groups.items():
        for name, array in members.items():
            arrays[f"{group}/{name}"] = np.asarray(array)
    path = _path(folder, step)
    write_npz(path, arrays, what="checkpoint")
    for old in list_checkpoints(folder)[:-KEPT]:
        old.unlink(missing_ok=True)
    return path


def list_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a folder, oldest first."""
    return sorted(folder.glob("step-*.npz"))


def load(path: Path, *groups: str) -> tuple[dict[str, Any], dict[str, dict[str, np.ndarray]]]:
    """The meta data and the arrays by group, their checksums verified.

    Args:
        path: the file.
        *groups: only these groups (all if none is named).

    Raises:
        UserError: if the file is corrupted, no checkpoint, or of a newer version.
    """
    prefixes = tuple(f"{group}/" for group in groups) or ("",)
    try:
        arrays = read_npz(path, what="checkpoint", only=("meta", *prefixes))
        meta = json.loads(str(arrays.pop("meta")))
        version = meta["version"]
    except (UserError, KeyError, ValueError, TypeError) as error:
        raise UserError(
            f"checkpoint {path} is corrupted ({error}); delete it to continue from the one before"
        ) from None
    if version > VERSION:
        raise UserError(
            f"checkpoint {path} has version {version}, written by a newer driftpolicy; this one "
            f"reads up to {VERSION}: upgrade it"
        )
    found: dict[str, dict[str, np.ndarray]] = {}
    for name, array in arrays.items():
        group, _, member = name.partition("/")
        found.setdefault(group, {})[member] = array
    return meta, found


def require_current(meta: dict[str, Any], path: Path) -> None:
    """Refuse to continue a run whose state was of another shape; its policy can still be loaded.

    Raises:
        UserError: if an older program wrote the checkpoint.
    """
    if meta["version"] != VERSION:
        raise UserError(
            f"checkpoint {path} has version {meta['version']}, this driftpolicy continues runs of "
            f"version {VERSION}: evaluate its policy (dfp eval), or train anew"
        )


def tree_arrays(tree: Any) -> dict[str, Any]:
    """The arrays of a module by the path of their field."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}


def restore_tree(like: _Tree, arrays: dict[str, np.ndarray], path: Path) -> _Tree:
    """A module like ``like`` (shapes suffice) with these arrays.

    Raises:
        UserError: naming the first array that is missing, unknown, or of another shape or type.
    """
    expected = tree_arrays(like)
    for name in sorted(set(expected) ^ set(arrays)):
        verb = "lacks" if name in expected else "holds an unknown"
        raise UserError(f"checkpoint {path} {verb} {name}: it is of another version or config")
    for name, leaf in expected.items():
        if arrays[name].shape != leaf.shape or arrays[name].dtype != leaf.dtype:
            raise UserError(
                f"checkpoint {path}: {name} is {arrays[name].dtype}{arrays[name].shape}, "
                f"the config says {leaf.dtype}{leaf.shape}"
            )
    structure = jax.tree.structure(like)
    return jax.tree.unflatten(structure, [jnp.asarray(arrays[name]) for name in expected])


def latest(folder: Path) -> Path:
    """The newest checkpoint of a folder.

    Raises:
        UserError: if there is none.
    """
    found = list_checkpoints(folder)
    if not found:
        raise UserError(f"{folder} holds no checkpoint")
    return found[-1]


def checkpoint_of(path: Path) -> Path:
    """``path`` itself if it is a file, else the newest checkpoint of the run folder ``path``.

    Raises:
        UserError: if there is none.
    """
    return path if path.is_file() else latest(path / "checkpoints")
