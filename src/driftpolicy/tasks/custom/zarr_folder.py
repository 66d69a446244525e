"""Arrays in a zarr folder of format 2, read through the package zarr."""

import json
import math
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from driftpolicy.data.files import Head, require_plausible
from driftpolicy.errors import UserError, in_brief, listing
from driftpolicy.tasks.custom.parquet import damaged

_HEAD = ".zarray"
_CODECS = {
    *("blosc", "zstd", "lz4", "zlib", "gzip", "bz2", "lzma", "crc32", "adler32", "shuffle"),
    *("delta", "fixedscaleoffset", "astype", "packbits", "quantize", "bitround"),
}
"""What may have encoded an array of numbers; others, such as pickles, would run code."""


def is_zarr(path: Path) -> bool:
    """Return whether a folder is a zarr group."""
    return (path / ".zgroup").is_file() or (path / "zarr.json").is_file()


def list_zarr(path: Path) -> dict[str, Head]:
    """Return shape and type of each array by its name, as ``data/action``.

    Raises:
        UserError: for another format than 2, or if a head is damaged.
    """
    if (path / "zarr.json").is_file():
        raise UserError(f"{path} is zarr of format 3; format 2 is read (zarr_format=2)")
    found = {}
    for file in sorted(path.rglob(_HEAD)):
        head = _head(file)
        with damaged(f"{file} is damaged"):
            kind = head["dtype"]
            dtype = np.dtype(kind if isinstance(kind, str) else "V1")
            found[file.parent.relative_to(path).as_posix()] = Head(tuple(head["shape"]), dtype)
    return found


def read_zarr(path: Path, names: Collection[str]) -> dict[str, np.ndarray]:
    """Read the arrays of these names.

    Raises:
        UserError: if zarr is not installed; if a chunk is missing, which zarr would read as zeros,
            or damaged; if an array is no plain array of numbers.
    """
    try:
        import zarr
    except ImportError:
        raise UserError("zarr folders need zarr: uv sync --extra zarr") from None
    heads = {name: _head(path / name / _HEAD) for name in names}
    for name, head in heads.items():
        codecs = [head.get("compressor"), *(head.get("filters") or ())]
        used = {
            str(codec.get("id")) if isinstance(codec, dict) else "?" for codec in codecs if codec
        }
        if not used <= _CODECS:
            raise UserError(
                f"{path}: {name} is encoded by {listing(used - _CODECS)}: not read here"
            )
    shapes = list_zarr(path)
    sizes = (math.prod(shapes[name].shape) * shapes[name].dtype.itemsize for name in names)
    require_plausible(path, sum(sizes))
    arrays = {}
    for name in names:
        with damaged(f"{path}: {name} is damaged"):
            array: Any = zarr.open_array(str(path / name), mode="r", zarr_format=2)
            lacking = array.nchunks - array.nchunks_initialized
            if lacking > 0:
                raise UserError(
                    f"{path}: {lacking:,} of {array.nchunks:,} chunks of {name} are not there, and "
                    "would be read as zeros: copy the whole folder, or write empty chunks too"
                )
            arrays[name] = np.asarray(array[...])
    return arrays


def _head(file: Path) -> dict[str, Any]:
    """Read what describes an array.

    Raises:
        UserError: if it is damaged.
    """
    with damaged(f"{file} is damaged"):
        head = json.loads(file.read_text())
        sides = head["shape"]
        if not all(type(side) is int and side >= 0 for side in sides):
            raise ValueError(f"the shape {in_brief(sides, 40)}")
        return head
