"""Reading and writing ``.npz`` files: atomic, checked, never pickled."""

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from driftpolicy.errors import UserError


def write_atomically(path: Path, write, *, what: str) -> None:
    """Call ``write(file)`` on a temporary file beside ``path`` and move it into place.

    Either the old file or the whole new one is there, at any moment, also after a power cut.

    Raises:
        UserError: if the disk is full or the folder cannot be written; the old file stays.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"cannot write {what} {path}: {reason}; what was there is intact") from None
    finally:
        temporary.unlink(missing_ok=True)


def write_npz(path: Path, arrays: Mapping[str, np.ndarray], *, what: str = "data file") -> None:
    """Store arrays uncompressed, each with a checksum, atomically.

    Raises:
        UserError: if the disk is full or the folder cannot be written; the old file stays.
    """
    write_atomically(path, lambda file: np.savez(file, allow_pickle=False, **arrays), what=what)


def read_npz(path: Path, *, what: str = "data file") -> dict[str, np.ndarray]:
    """All arrays of a file, their checksums verified.

    Raises:
        UserError: if the file is missing, truncated, damaged, holds pickled objects, or is no npz.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            if isinstance(file, np.ndarray):
                raise ValueError("a single array")
            return {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise UserError(f"{what} {path} does not exist") from None
    except (zipfile.BadZipFile, EOFError, OSError, ValueError, AttributeError) as error:
        raise UserError(
            f"{what} {path} is truncated, damaged or not an npz file ({error}); get it again"
        ) from None
