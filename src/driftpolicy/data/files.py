"""Reading, writing and mapping ``.npz`` files: atomic, checked, never pickled."""

import contextlib
import math
import mmap
import os
import zipfile
import zlib
from collections.abc import Callable, Container, Iterable, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Int

from driftpolicy.errors import UserError, blaming, listing

LARGE = 256 << 20
"""Bytes that a file of any size may hold compressed."""
COMPRESSION = 100
"""Above that, how many times larger than its file the contents may be."""


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
    path: Path,
    *,
    what: str = "data file",
    only: tuple[str, ...] = ("",),
    names: Container[str] | None = None,
) -> dict[str, np.ndarray]:
    """Read arrays, their checksums verified.

    Args:
        path: of the file.
        what: it is, for messages.
        only: read what starts with one of these.
        names: and is among these; None: all.

    Raises:
        UserError: if the file is missing, truncated, damaged, holds pickled objects, or is no npz.
    """
    arrays = {}
    with _reading(path, what) as archive:
        wanted = {
            name: entry
            for entry in archive.infolist()
            if (name := entry.filename.removesuffix(".npy")).startswith(only)
            and (names is None or name in names)
        }
        require_plausible(path, sum(entry.file_size for entry in wanted.values()), what=what)
        objects = []
        for name, entry in wanted.items():
            with archive.open(entry) as member:
                if _head(member, entry).dtype.hasobject:
                    objects.append(name)
                    continue
                member.seek(0)
                arrays[name] = np.lib.format.read_array(member, allow_pickle=False)
                # The checksum is compared when the last byte has been read.
                if member.read(1):
                    raise ValueError(f"{entry.filename} is longer than its array")
        if objects:
            raise ObjectArrays(path, objects, what=what)
    return arrays


class ObjectArrays(UserError):
    """Arrays of Python objects, which an ``.npz`` file can only hold as pickles."""

    def __init__(self, path: Path, names: list[str], *, what: str = "data file"):
        """Name the arrays, which are never read: unpickling runs whatever a file says."""
        super().__init__(
            f"{what} {path} holds arrays of Python objects ({listing(names)}), which are pickled "
            "and never read; store plain arrays of numbers"
        )
        self.names = names


def require_plausible(path: Path, claimed: int, *, what: str = "data file") -> None:
    """Refuse a file or folder whose contents cannot be as large as it claims.

    Nothing of it has been read by then, and no memory taken.

    Args:
        path: of the file, or a folder of files.
        claimed: how many bytes there are said to be once it is read.
        what: it is, for the message.

    Raises:
        UserError: for more than LARGE bytes and COMPRESSION times those that are stored.
    """
    files = path.rglob("*") if path.is_dir() else [path]
    stored = sum(file.stat().st_size for file in files if file.is_file())
    if claimed > max(LARGE, COMPRESSION * stored):
        raise UserError(
            f"{what} {path} claims {claimed:,} bytes of numbers in {stored:,} bytes, which cannot "
            "be: it is damaged or made to fill the memory"
        )


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
    with _reading(path, what) as archive:
        entry = archive.getinfo(f"{name}.npy")
        with archive.open(entry) as member:
            return _head(member, entry).shape


class Head(NamedTuple):
    """What is known of a stored array before it is read."""

    shape: tuple[int, ...]
    dtype: np.dtype


def heads(path: Path, *, what: str = "data file") -> dict[str, Head]:
    """Return shape and type of each array, of which only the heads are read.

    Raises:
        UserError: if the file is missing, truncated or no npz.
    """
    found = {}
    with _reading(path, what) as archive:
        for entry in archive.infolist():
            if entry.filename.endswith(".npy"):
                with archive.open(entry) as member:
                    found[entry.filename.removesuffix(".npy")] = _head(member, entry)
    return found


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
                self.shape, fortran, dtype = _read_head(member)
                head = member.tell()
            if entry.compress_type != zipfile.ZIP_STORED or dtype != np.float32 or fortran:
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


def _read_head(member: Any) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Read shape, order (whether Fortran's) and type of the array that an opened member holds."""
    version = np.lib.format.read_magic(member)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }[version]
    return read(member)


def _head(member: Any, entry: zipfile.ZipInfo) -> Head:
    """Read shape and type of an opened member, once it is clear that they are of its true size."""
    shape, _, dtype = _read_head(member)
    rest = entry.file_size - member.tell()
    if not dtype.hasobject and math.prod(shape) * dtype.itemsize != rest:
        raise ValueError(f"{entry.filename} claims the shape {shape} in {rest} bytes")
    return Head(shape, dtype)


@contextlib.contextmanager
def _reading(path: Path, what: str):
    """Open an archive; any error in the body of ``with`` is blamed on the file."""
    with (
        blaming(path, what=what, kind="an npz file", missing=" does not exist"),
        zipfile.ZipFile(path) as archive,
    ):
        entries = archive.infolist()
        twice = len(set(archive.namelist())) < len(entries)
        if twice or any(entry.comment for entry in entries):  # would hide entries behind it
            raise ValueError("a damaged directory")
        yield archive
