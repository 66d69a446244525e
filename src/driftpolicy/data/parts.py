"""Arrays made part by part, kept until all are there: interrupted work goes on."""

import json
import shutil
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from driftpolicy.data.files import read_npz, write_npz
from driftpolicy.errors import UserError

Part = dict[str, np.ndarray]


def kept_parts(
    path: Path,
    identity: Mapping[str, Any],
    count: int,
    make: Callable[[range], Generator[Part, None, None]],
) -> Generator[Part, None, None]:
    """Yield parts 0 to ``count - 1`` of a file: first those that are kept, then newly made ones.

    They are kept in a hidden folder beside the file until :func:`drop_parts`. A part that is
    missing or damaged, and all after it, are made again.

    Args:
        path: the file that the parts will be.
        identity: all that decides a part beside its number, as JSON has it.
        count: how many parts.
        make: makes the parts of these numbers, in their order.

    Raises:
        UserError: if the disk is full or the folder cannot be written; what is kept stays.
    """
    folder = _folder(path)
    text = json.dumps(identity, sort_keys=True)
    known = 0
    for part in _kept(folder, text, count):
        known += 1
        yield part
    if known == 0:  # what may be there is of other work
        drop_parts(path)
        write_npz(folder / "identity.npz", {"identity": np.array(text)})
    if known < count:
        missing = range(known, count)
        with closing(make(missing)) as made:
            for number, part in zip(missing, made, strict=True):
                write_npz(_file(folder, number), part)
                yield part


def _kept(folder: Path, identity: str, count: int) -> Iterator[Part]:
    """Yield the parts that are kept of this work, from the first to the last before a gap."""
    try:
        if str(read_npz(folder / "identity.npz")["identity"]) != identity:
            return
    except (UserError, KeyError):
        return
    for number in range(count):
        try:
            part = read_npz(_file(folder, number))
        except UserError:
            return
        yield part


def drop_parts(path: Path) -> None:
    """Remove the parts that are kept of a file."""
    shutil.rmtree(_folder(path), ignore_errors=True)


def _folder(path: Path) -> Path:
    return path.with_name(f".{path.name}.parts")


def _file(folder: Path, number: int) -> Path:
    return folder / f"{number:06d}.npz"
