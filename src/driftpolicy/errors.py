"""What goes wrong by no fault of the program, for one line without a traceback."""

import difflib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


class UserError(Exception):
    """A user's mistake or the machine's state: one line that says what is wrong and what to do.

    The command line prints it and exits with status 2.
    """


_FORMATS = {b"\x89HDF\r\n\x1a\n": "an HDF5 file", b"PK\x03\x04": "an npz file"}  # by first bytes


class FieldError(UserError):
    """A setting out of its range. The command line names the flag instead of the field."""

    def __init__(self, field: str, meaning: str, value: object):
        """Say which field it is, what its value must be, and what it is."""
        super().__init__(f"{field} must be {meaning}, not {value}")
        self.field = field
        self.meaning = meaning
        self.value = value


def in_brief(error: object, width: int = 200) -> str:
    """Return what an error or a name says in one line of at most ``width`` characters.

    An exception without a message is named by its class.
    """
    text = " ".join(str(error).split()) or type(error).__name__
    text = "".join(char if char.isprintable() else "?" for char in text)
    return text if len(text) <= width else text[: width - 3] + "..."


def nearest(name: str, known: Iterable[str], *, most: int = 1, alike: float = 0.0) -> str:
    """Return those names that are most like a misspelled one, joined by commas.

    Args:
        name: the misspelled one.
        known: to choose from.
        most: how many to return.
        alike: from 0 to 1; names less like it (by difflib's ratio) are left out.
    """
    return ", ".join(difflib.get_close_matches(name, sorted(known), n=most, cutoff=alike))


def listing(names: Iterable[object], most: int = 12) -> str:
    """Return the first names of some, each in brief, and how many there are beside them."""
    every = [in_brief(name, 60) for name in names]
    more = f" and {len(every) - most:,} more" if len(every) > most else ""
    return (", ".join(every[:most]) or "nothing") + more


@contextmanager
def blaming(path: Path, *, what: str, kind: str, missing: str) -> Iterator[None]:
    """Blame any error in the body of ``with``, which reads a file, on that file.

    Args:
        path: of the file.
        what: it is, for messages, such as ``data file``.
        kind: what it turns out not to be if it is damaged, such as ``an npz file``.
        missing: how the message ends if there is no such file.

    Raises:
        UserError: in place of the error: one line with its reason.
    """
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"{what} {path}{missing}") from None
    except (PermissionError, IsADirectoryError) as error:  # a library may set no words of its own
        raise UserError(f"cannot read {what} {path}: {os.strerror(error.errno or 0)}") from None
    except Exception as error:  # damaged bytes make the parsers raise nearly anything
        other = _format_of(path)
        if other not in (None, kind):
            raise UserError(f"{what} {path} is {other}, not {kind}") from None
        raise UserError(
            f"{what} {path} is truncated, damaged or not {kind} ({in_brief(error)}); get it again"
        ) from None


def _format_of(path: Path) -> str | None:
    """Return what a file is by its first bytes; None if they say nothing, or cannot be read."""
    try:
        with open(path, "rb") as file:
            head = file.read(8)
    except OSError:
        return None
    return next((kind for begins, kind in _FORMATS.items() if head.startswith(begins)), None)
