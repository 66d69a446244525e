"""Reading, writing and mapping ``.npz`` files: atomic, checked, never pickled."""

import contextlib
import mmap
import os
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from jaxtyping import Float32, Int

from driftpolicy.errors import UserError

_TEMPORARY = re.compile(r"\..+\.([1-9]\d*)\.tmp", re.ASCII)


def write_atomically(path: Path, write: Callable[[IO[bytes]], Any], *, what: str) -> None:
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
        move(temporary, path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"cannot write {what} {path}: {reason}; what was there is intact") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of processes that were killed while they wrote into a folder.

    Call it only while no process of another machine writes there: those that run are known by
    their number on this one.
    """
    for path in folder.glob(".*.tmp"):
        match = _TEMPORARY.fullmatch(path.name)
        if match and not _is_running(int(match[1])):
            with contextlib.suppress(OSError):
                path.unlink()


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return process != os.getpid()


def move(source: Path, target: Path) -> None:
    """Rename a file within a folder, replacing ``target``, and make that last.

    Raises:
        OSError: if the folder cannot be written; then nothing has changed.
    """
    os.replace(source, target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_npz(path: Path, arrays: Mapping[str, np.ndarray], *, what: str = "data file") -> None:
    """Store arrays uncompressed, each with a checksum, atomically; same arrays, same bytes.

    Raises:
        UserError: if the disk is full or the folder cannot be written; the old file stays.
    """

    def write(file: IO[bytes]) -> None:
        with zipfile.ZipFile(file, "w") as archive:
            for name, array in arrays.items():
                entry = zipfile.ZipInfo(f"{name}.npy")  # always of the same date
                with archive.open(entry, "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)

    write_atomically(path, write, what=what)


def read_npz(
    path: Path, *, what: str = "data file", only: tuple[str, ...] = ("",)
) -> dict[str, np.ndarray]:
    """Read the arrays whose names start with one of ``only``, their checksums verified.

    Raises:
        UserError: if the file is missing, truncated, damaged, holds pickled objects, or is no npz.
    """
    arrays = {}
    with _reading(path, what) as archive:
        for entry in archive.namelist():
            name = entry.removesuffix(".npy")
            if name.startswith(only):
                with archive.open(entry) as member:
                    arrays[name] = np.lib.format.read_array(member, allow_pickle=False)
                    # The checksum is compared when the last byte has been read.
                    if member.read(1):
                        raise ValueError(f"{entry} is longer than its array")
    return arrays


def checksums(path: Path, *, what: str = "data file") -> dict[str, int]:
    """Return the CRC-32 of each array as the file lists it; nothing is read or verified.

    Raises:
        UserError: if the file is missing, truncated or no npz.
    """
    with _reading(path, what) as archive:
        return {entry.filename: entry.CRC for entry in archive.infolist()}


def crc32(paths: Iterable[Path]) -> str:
    """Return a CRC-32 in hexadecimal of the contents of files, one after the other.

    Raises:
        UserError: if one cannot be read.
    """
    value = 0
    for path in paths:
        try:
            with open(path, "rb") as file:
                while block := file.read(1 << 20):
                    value = zlib.crc32(block, value)
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror}") from None
    return f"{value:08x}"


def verify_npz(path: Path, *, what: str = "data file") -> None:
    """Read every array once and compare it with its checksum.

    Raises:
        UserError: if the file is missing, truncated, damaged or no npz.
    """
    with _reading(path, what) as archive:
        entries = archive.namelist()
        if not entries or not all(name.endswith(".npy") for name in entries):
            raise ValueError("an archive of other things than arrays")
        damaged = archive.testzip()
        if damaged is not None:
            raise ValueError(f"bad checksum of {damaged}")


def member_shape(path: Path, name: str, *, what: str = "data file") -> tuple[int, ...]:
    """Return the shape of one array, of which only the head is read.

    Raises:
        UserError: if the file is missing, truncated or no npz, or has no such array.
    """
    with _reading(path, what) as archive, archive.open(f"{name}.npy") as member:
        return _read_header(member)[0]


class MappedRows:
    """A matrix of float32 in an npz file, mapped into memory where the file holds it uncompressed.

    Pages are read when rows are taken. They are the system's cache, not the process's memory:
    :meth:`release` says that they need not be mapped any longer.
    """

    def __init__(self, path: Path, name: str):
        """Map an array of a file; its checksum is not verified, which would read all of it.

        Raises:
            UserError: if the file is missing or truncated, or does not hold the matrix like that.
        """
        with _reading(path, "data file") as archive:
            entry = archive.getinfo(f"{name}.npy")
            with archive.open(entry) as member:
                self.shape, dtype = _read_header(member)
                head = member.tell()
            if entry.compress_type != zipfile.ZIP_STORED or dtype != np.float32:
                raise ValueError(f"{name} cannot be mapped")
            with open(path, "rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            # A member follows a head of 30 bytes, its name and an extra field (APPNOTE 4.3.7).
            place = entry.header_offset
            lengths = np.frombuffer(self._map[place + 26 : place + 30], "<u2")
            place += 30 + int(lengths.sum()) + head
        self._map.madvise(mmap.MADV_RANDOM)
        # In bytes: nothing aligns the members of an archive.
        width = 4 * self.shape[1]
        self._bytes = np.ndarray((self.shape[0], width), np.uint8, self._map, place)

    def take(self, rows: Int[np.ndarray, "..."]) -> Float32[np.ndarray, "... width"]:
        """Return a copy of some rows."""
        return np.take(self._bytes, rows, axis=0).view(np.float32)

    def release(self) -> None:
        """Unmap the pages read so far; they are mapped again where they are needed."""
        self._map.madvise(mmap.MADV_DONTNEED)


def _read_header(member: Any) -> tuple[tuple[int, ...], np.dtype]:
    """Read shape and type of the array that an opened member holds in the order of C."""
    version = np.lib.format.read_magic(member)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }[version]
    shape, fortran, dtype = read(member)
    if fortran:
        raise ValueError("an array in the order of Fortran")
    return shape, dtype


@contextlib.contextmanager
def _reading(path: Path, what: str):
    """Open an archive; any error in the body of ``with`` is blamed on the file."""
    try:
        with zipfile.ZipFile(path) as archive:
            if any(entry.comment for entry in archive.infolist()):  # would hide entries behind it
                raise ValueError("a damaged directory")
            yield archive
    except FileNotFoundError:
        raise UserError(f"{what} {path} does not exist") from None
    except (PermissionError, IsADirectoryError) as error:
        raise UserError(f"cannot read {what} {path}: {error.strerror}") from None
    except Exception as error:  # damaged bytes make the parsers raise nearly anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"{what} {path} is truncated, damaged or not an npz file ({reason}); get it again"
        ) from None
