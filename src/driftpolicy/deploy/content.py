"""The bytes of an exported policy: sealed with a checksum, and free of NaN."""

import hashlib
import warnings
from collections.abc import Iterator

import numpy as np

from driftpolicy.errors import UserError

CHECKSUM = "checksum"
"""The metadata's last entry: the SHA-256 of the file in which it is all zeros, in hexadecimal."""
_ZEROS = b"0" * 64
UNSEALED = f'"{_ZEROS.decode()}"'
"""The entry of a file that is still to be sealed; like every other, it is JSON."""
_PLACE = b'\x0a\x08checksum\x12\x42"'  # the entry up to its digits: key, value of 66 bytes, quote

_GRAPH, _ARRAY, _TYPE, _FLOATS, _RAW = 7, 5, 2, 4, 9  # fields of ModelProto, its graph, an array
_MAX_SHIFT = 63  # of a varint
# Of the types of arrays: unsigned integers as wide, whose exponent bits are all set in NaN and inf.
_EXPONENTS = {1: ("<u4", 0x7F800000), 10: ("<u2", 0x7C00), 11: ("<u8", 0x7FF << 52)}
_EXPONENTS[16] = ("<u2", 0x7F80)


def seal(content: bytes) -> bytes:
    """Return a model's file with its checksum in the place of ``UNSEALED``.

    Args:
        content: the file, whose last metadata entry is ``CHECKSUM: UNSEALED``.
    """
    head, tail = _split(content)
    return head + _digest(head, tail) + tail


def require_intact(content: bytes, name: str) -> None:
    """Refuse a file that has changed since it was sealed, or whose weights are not finite.

    A file without a checksum was written by an older version; a warning says so.

    Raises:
        UserError: naming the file, and saying to export the policy again.
    """
    again = "copy it again, or export the policy again (dfp export)"
    if content.count(_PLACE) == 1:
        head, tail = _split(content)
        if content[len(head) : len(head) + len(_ZEROS)] != _digest(head, tail):
            raise UserError(f"{name} is damaged (its checksum is another): {again}")
    else:
        warnings.warn(
            f"{name} has no checksum, so damage to it cannot be noticed: export the policy again",
            stacklevel=3,
        )
    try:
        finite = all(_is_finite(array) for array in _arrays(content))
    except (IndexError, ValueError):
        raise UserError(f"{name} is damaged or no ONNX file: {again}") from None
    if not finite:
        raise UserError(f"{name} has weights that are NaN or infinite: export another checkpoint")


def _split(content: bytes) -> tuple[bytes, bytes]:
    """Return what comes before the checksum and what comes after it."""
    begin = content.index(_PLACE) + len(_PLACE)
    return content[:begin], content[begin + len(_ZEROS) :]


def _digest(head: bytes, tail: bytes) -> bytes:
    return hashlib.sha256(head + _ZEROS + tail).hexdigest().encode()


def _arrays(content: bytes) -> Iterator[memoryview]:
    """Yield the arrays of a model's graph, each as its message."""
    for graph in _fields(memoryview(content), _GRAPH):
        yield from _fields(graph, _ARRAY)


def _is_finite(array: memoryview) -> bool:
    """Tell whether no number of an array is NaN or infinite; integers never are."""
    kinds = list(_fields(array, _TYPE))
    if not kinds or kinds[-1][0] not in _EXPONENTS:
        return True
    dtype, exponent = _EXPONENTS[kinds[-1][0]]
    stored = [*_fields(array, _RAW), *(_fields(array, _FLOATS) if dtype == "<u4" else ())]
    return not any((np.frombuffer(part, dtype) & exponent == exponent).any() for part in stored)


def _fields(message: memoryview, wanted: int) -> Iterator[memoryview]:
    """Yield the bytes of every field of this number in a message of protocol buffers.

    Raises:
        IndexError: if the message ends within a field.
        ValueError: if it is none.
    """
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        begin, kind = at, tag & 7
        if kind == 0:
            _, at = _varint(message, at)
        elif kind == 2:
            size, begin = _varint(message, at)
            at = begin + size
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise ValueError(f"a field of kind {kind}")
        if at > len(message):
            raise IndexError("the message ends within a field")
        if tag >> 3 == wanted:
            yield message[begin:at]


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """Return a whole number of variable length, and where it ends."""
    value, shift = 0, 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
        if shift > _MAX_SHIFT:
            raise ValueError("a number without an end")
