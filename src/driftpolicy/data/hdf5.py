"""Opening HDF5 files: every dataset is really in the file, and any damage becomes one line."""

import contextlib
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from driftpolicy.data.files import require_plausible
from driftpolicy.errors import UserError, blaming, in_brief


def open_hdf5(
    path: Path, *, what: str = "data file", extra: str = "hdf5", trusted: bool = False
) -> Any:
    """Open an HDF5 file for reading and make sure that it holds what it lists.

    Data that lie in other files are refused: links to other files, virtual datasets and external
    storage, which would be read as zeros where those files are missing. So are links to nothing,
    and sizes that cannot be.

    Args:
        path: of the file.
        what: it is, for messages.
        extra: the extra of this package that installs h5py.
        trusted: whether it has been looked through already.

    Returns:
        The ``h5py.File``, which the caller closes.

    Raises:
        UserError: if h5py is not installed, the file is missing or damaged, or holds such things.
    """
    try:
        import h5py
    except ImportError:
        raise UserError(f"reading HDF5 needs h5py: uv sync --extra {extra}") from None
    with reading_hdf5(path, what=what), contextlib.ExitStack() as stack:
        file = stack.enter_context(h5py.File(path, "r", locking=False))
        if not trusted:
            require_plausible(path, _size(path, file, what), what=what)
        stack.pop_all()
        return file


def reading_hdf5(path: Path, *, what: str = "data file") -> AbstractContextManager[None]:
    """Blame any error in the body of ``with``, which reads an HDF5 file, on that file.

    Raises:
        UserError: in place of the error: one line with its reason.
    """
    return blaming(path, what=what, kind="an HDF5 file", missing=": no such file")


def _size(path: Path, file: Any, what: str) -> int:
    """Return the bytes of all datasets together.

    Raises:
        UserError: naming the first one that is not in the file.
    """
    import h5py

    low: Any = h5py  # its lower level has no types
    h5d, h5l, h5o = low.h5d, low.h5l, low.h5o
    links: list[tuple[bytes, int]] = []
    file.id.links.visit(lambda name, link: links.append((name, link.type)), info=True)
    bytes_of: dict[int, int] = {}
    for name, kind in links:
        shown = in_brief(name.decode(), 60)  # a name that is no text is damage
        if kind not in (h5l.TYPE_HARD, h5l.TYPE_SOFT):
            raise UserError(f"{what} {path}: {shown} is a link to another file: copy it into this")
        try:
            item = h5o.open(file.id, name)
        except KeyError:
            raise UserError(
                f"{what} {path}: {shown} is damaged, or a link to something that is not there"
            ) from None
        if isinstance(item, h5d.DatasetID):
            layout = item.get_create_plist()
            if layout.get_layout() == h5d.VIRTUAL or layout.get_external_count():
                raise UserError(
                    f"{what} {path}: {shown} is stored in another file: copy it into this"
                )
            size = item.get_space().get_simple_extent_npoints() * item.get_type().get_size()
            bytes_of[h5o.get_info(item).addr] = size
    return sum(bytes_of.values())
