"""Prior data on the Hub: files of arrays, whole and checked."""

from pathlib import Path

from driftpolicy.data.files import verify_npz
from driftpolicy.errors import UserError, listing
from driftpolicy.hub.card import data_card
from driftpolicy.hub.client import Place, contents, pull, push
from driftpolicy.tasks.registry import benchmark_of_data

ENDINGS = (".npz", ".hdf5", ".h5")
"""Files of arrays, in which nothing can be executed."""
_PATTERNS = tuple(f"*{ending}" for ending in ENDINGS)
_NOT_PUBLISHED = ("file", "folder")  # where they are on this machine


def push_data(path: Path, name: str, *, private: bool) -> str:
    """Publish a file of prior data, or a folder of shards, with a card of what is in it.

    What an earlier push has put there is replaced.

    Returns:
        The commit's hash.

    Raises:
        UserError: if they are of another format, damaged, or cannot be published.
    """
    place = Place.parse(name)
    files = sorted(path.glob("*.npz")) if path.is_dir() else [path]
    if not path.exists():
        raise UserError(f"{path}: no such file")
    if not files or any(file.suffix not in ENDINGS for file in files):
        raise UserError(
            f"{path} is neither a file ({', '.join(ENDINGS)}) nor a folder of .npz shards"
        )
    _verify(files)
    sections = benchmark_of_data(path).inspect(str(path))
    facts = {
        key: value
        for section in sections
        for key, value in section.items()
        if key not in _NOT_PUBLISHED
    }
    card = data_card(place.name, [file.name for file in files], facts)
    return push(
        place,
        "dataset",
        {file.name: file for file in files},
        card,
        replaces=_PATTERNS,
        private=private,
        message=f"{len(files)} file{'s' * (len(files) > 1)} of prior data",
    )


def pull_data(text: str, folder: Path | None, *, overwrite: bool = False) -> tuple[Path, str]:
    """Fetch prior data; run again after an interruption, it goes on.

    Args:
        text: ``owner/name``, or with ``@`` and a commit's hash, a branch or a tag.
        folder: where to put them; by default ``data/name``.
        overwrite: whether files that are there from elsewhere may be replaced.

    Returns:
        What ``--data`` takes, a file or the folder of shards, and the commit's hash.

    Raises:
        UserError: if they cannot be had, hold no data, or are damaged; if other files are in the
            folder.
    """
    place = Place.parse(text)
    folder = folder or Path("data") / Path(place.name).name
    source = folder / ".cache" / "repository"
    ours = source.is_file() and source.read_text(encoding="utf-8") == place.name
    if folder.exists() and any(folder.iterdir()) and not (ours or overwrite):
        raise UserError(f"{folder} holds files already; name another folder, or use --overwrite")
    commit, names = contents(place, "dataset")
    wanted = sorted(name for name in names if Path(name).suffix in ENDINGS and "/" not in name)
    if not wanted:
        raise UserError(f"{text} holds no data that driftpolicy reads ({', '.join(ENDINGS)})")
    there = {path.name for path in folder.glob("*") if path.suffix in ENDINGS}
    others = sorted(there.difference(wanted))
    if others:  # of another commit, or of this machine: they would be taken for these
        raise UserError(
            f"{folder} holds other data than {place.name}@{commit} does ({listing(others)}): move "
            "them away, or name another folder"
        )
    source.parent.mkdir(parents=True, exist_ok=True)
    source.write_text(place.name, encoding="utf-8")
    pull(Place(place.name, commit), "dataset", tuple(wanted), folder=folder)
    files = [folder / name for name in wanted]
    _verify(files)
    return (files[0] if len(files) == 1 else folder), commit


def _verify(files: list[Path]) -> None:
    for file in files:
        if file.suffix == ".npz":
            verify_npz(file)
