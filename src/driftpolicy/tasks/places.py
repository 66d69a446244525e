"""Where a benchmark's prior data lie, and what the place says of them."""

import os
from collections.abc import Iterable
from pathlib import Path

from driftpolicy.errors import UserError


def origin_by_place(path: Path, published: Path) -> str:
    """Return the origin of a file that does not name one: ``published`` or ``unknown``.

    Args:
        path: of the file.
        published: the folder where the published files are looked for.
    """
    folder = Path(os.path.abspath(published.expanduser()))
    return "published" if folder in Path(os.path.abspath(path)).parents else "unknown"


def first_file(data: str | None, places: Iterable[Path]) -> Path | None:
    """Return the file that ``data`` names, or without it the first of ``places`` that is there.

    Raises:
        UserError: if ``data`` is given and is not a file.
    """
    if data is None:
        return next((path for path in places if path.is_file()), None)
    path = Path(data).expanduser()
    if not path.is_file():
        raise UserError(f"--data {data}: no such file")
    return path
