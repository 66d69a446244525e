"""Arrays by their names, alike in an ``.npz`` file, an HDF5 file and a zarr folder."""

from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from driftpolicy.data.files import Head, ObjectArrays, checksums, heads, read_npz
from driftpolicy.data.hdf5 import open_hdf5, reading_hdf5
from driftpolicy.errors import UserError
from driftpolicy.tasks.benchmark import HDF5_SUFFIXES
from driftpolicy.tasks.custom.zarr_folder import is_zarr, list_zarr, read_zarr


def is_hdf5(path: Path) -> bool:
    """Return whether a file is HDF5 by its name."""
    return path.suffix in HDF5_SUFFIXES


class Listing(NamedTuple):
    """What a file holds, before any of it is read."""

    heads: dict[str, Head]
    """The shape and the type of each array, by its name: ``episode_0/actions``."""
    attributes: dict[str, Any]
    """The attributes of an HDF5 file."""


def list_arrays(path: Path) -> Listing:
    """Return what a file holds.

    Raises:
        UserError: if the file is damaged, or what it lists is not in it.
    """
    if path.is_dir():
        return Listing(list_zarr(path), {})
    if not is_hdf5(path):
        return Listing(heads(path), {})
    with open_hdf5(path) as file, reading_hdf5(path):
        found = {
            name: Head(item.shape or (), item.dtype) for name, item in _datasets(file, "", (), path)
        }
        return Listing(found, dict(file.attrs))


def list_names(path: Path) -> tuple[list[str], dict[str, Any]]:
    """Return the names of the arrays in a file and its attributes; of npz no array is looked at.

    Raises:
        UserError: as :func:`list_arrays`.
    """
    if not path.is_dir() and not is_hdf5(path):
        return _entries(path), {}
    heads, attributes = list_arrays(path)
    return list(heads), attributes


def _entries(path: Path) -> list[str]:
    """Return the names of the arrays in an ``.npz`` file."""
    return [name.removesuffix(".npy") for name in checksums(path)]


def read_arrays(path: Path, names: Collection[str]) -> dict[str, np.ndarray]:
    """Read the arrays of these names, which :func:`list_arrays` has listed.

    Raises:
        UserError: if the file is damaged, an array is not there, or it holds Python objects.
    """
    if path.is_dir():
        return read_zarr(path, names)
    if not is_hdf5(path):
        try:
            return read_npz(path, names=set(names))
        except ObjectArrays as error:
            raise UserError(f"{error}{_conversion(path, error.names)}") from None
    with open_hdf5(path, trusted=True) as file, reading_hdf5(path):
        return {name: np.asarray(file[name][()]) for name in names}


def top_names(path: Path) -> list[str]:
    """Return the first parts of the arrays' names, at a glance; none where it is not readable."""
    if path.is_dir():
        return [entry.name for entry in path.iterdir()] if is_zarr(path) else []
    try:
        if is_hdf5(path):
            with open_hdf5(path, trusted=True) as file, reading_hdf5(path):
                return [str(name) for name in file]
        return list({name.partition("/")[0]: None for name in _entries(path)})
    except UserError:
        return []


def _conversion(path: Path, names: list[str]) -> str:
    """Return three statements that a user may run on arrays of objects, as a line."""
    array = "np.array(np.asarray(rows).tolist())"
    each = f"{{f'episode_{{i}}/{{k}}': {array} for k in old for i, rows in enumerate(old[k])}}"
    if any("/" in name for name in names):  # an array for each episode
        each = f"{{k: {array} for k, rows in old.items()}}"
    return (
        f". If you trust its maker: old = np.load('{path.name}', allow_pickle=True); new = {each}; "
        "np.savez('converted.npz', **new)"
    )


def _datasets(group: Any, prefix: str, above: tuple[Any, ...], path: Path) -> Any:
    """Yield the name of each dataset and itself, also behind links within the file.

    Raises:
        UserError: for a group that is a part of itself.
    """
    for name in group:
        item = group[name]
        if hasattr(item, "shape"):
            yield prefix + name, item
        elif item in above:
            raise UserError(f"{path}: {prefix}{name} is a link to a group that it is a part of")
        elif hasattr(item, "keys"):
            yield from _datasets(item, f"{prefix}{name}/", (*above, item), path)
