"""What the place of prior data says of them."""

import os
from pathlib import Path


def origin_by_place(path: Path, published: Path) -> str:
    """Return the origin of a file that does not name one: ``published`` or ``unknown``.

    Args:
        path: of the file.
        published: the folder where the published files are looked for.
    """
    folder = Path(os.path.abspath(published.expanduser()))
    return "published" if folder in Path(os.path.abspath(path)).parents else "unknown"
