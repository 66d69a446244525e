"""Repositories of the Hub by name, and what can go wrong with them in one line."""

import contextlib
import dataclasses
import functools
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal

from driftpolicy.errors import UserError

Kind = Literal["model", "dataset"]
PREFIX = "hf://"
_NAME = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}", re.ASCII)


@dataclasses.dataclass(frozen=True)
class Place:
    """A repository, at one of its states."""

    name: str
    """``owner/name``."""
    revision: str | None = None
    """A commit's hash, a branch or a tag; None is the newest state."""

    @classmethod
    def parse(cls, text: str) -> "Place":
        """Return the place that ``owner/name``, ``hf://owner/name`` or ``...@REVISION`` names.

        Raises:
            UserError: if it is none.
        """
        name, _, revision = text.removeprefix(PREFIX).partition("@")
        if not _NAME.fullmatch(name) or text.endswith("@"):
            raise UserError(f"{text!r} is no repository; write owner/name, or owner/name@REVISION")
        return cls(name, revision or None)


def push(
    place: Place,
    kind: Kind,
    files: Mapping[str, Path],
    card: str,
    *,
    replaces: tuple[str, ...],
    private: bool,
    message: str,
) -> str:
    """Make a repository if it is not there, and put files into it in one commit.

    Args:
        place: without a revision.
        kind: of the repository.
        files: by their name there.
        card: the text of its README.md.
        replaces: patterns of names; what has such a name there and is not among ``files`` is of an
            earlier push, and taken out. Earlier commits keep it.
        private: whether a new repository is private; one that is there stays as it is.
        message: of the commit.

    Returns:
        The commit's hash.

    Raises:
        UserError: without the extra, a token, the right to write, or a network.
    """
    if place.revision is not None:
        raise UserError(f"push to {place.name} without a revision: it makes the next one")
    hub = _package()
    if hub.get_token() is None:
        raise UserError(
            f"pushing to {place.name} needs a token: run hf auth login, or set HF_TOKEN to one "
            "that may write (huggingface.co/settings/tokens)"
        )
    api = _api(hub)
    with _one_line(place, hub, api), tempfile.TemporaryDirectory() as folder:
        readme = Path(folder) / "README.md"
        readme.write_text(card, encoding="utf-8")
        operations = [
            hub.CommitOperationAdd(path_in_repo=name, path_or_fileobj=path)
            for name, path in {"README.md": readme, **files}.items()
        ]
        api.create_repo(place.name, repo_type=kind, private=private, exist_ok=True)
        operations += [
            hub.CommitOperationDelete(path_in_repo=name)
            for name in api.list_repo_files(place.name, repo_type=kind)
            if name not in files and any(fnmatch(name, pattern) for pattern in replaces)
        ]
        done = api.create_commit(
            place.name, operations, repo_type=kind, commit_message=message, num_threads=2
        )
    return done.oid


def contents(place: Place, kind: Kind) -> tuple[str, list[str]]:
    """Return the commit that a place means now, and the names of the files in it.

    Raises:
        UserError: if it cannot be had.
    """
    hub = _package()
    api = _api(hub)
    with _one_line(place, hub, api):
        info = api.repo_info(place.name, repo_type=kind, revision=place.revision)
        return info.sha, [file.rfilename for file in info.siblings or ()]


def pull(
    place: Place, kind: Kind, patterns: tuple[str, ...], *, folder: Path | None = None
) -> tuple[Path, str]:
    """Fetch the files of a repository whose names match; what is there already is not fetched.

    Args:
        place: a full hash as its revision is enough to find a copy without a network.
        kind: of the repository.
        patterns: of the names of files.
        folder: where to put them; None is the Hub's cache, which keeps every commit.

    Returns:
        The folder, and the commit's hash.

    Raises:
        UserError: if it cannot be had.
    """
    hub = _package()
    api = _api(hub)
    fetch = functools.partial(
        api.snapshot_download,
        place.name,
        repo_type=kind,
        allow_patterns=list(patterns),
        local_dir=folder,
    )
    with _one_line(place, hub, api):
        if place.revision and _COMMIT.fullmatch(place.revision):
            commit = place.revision
            with contextlib.suppress(hub.errors.LocalEntryNotFoundError):
                if folder is None:
                    return Path(fetch(revision=commit, local_files_only=True)), commit
        else:  # asked each time, never taken from a copy
            commit, _ = contents(place, kind)
        return Path(fetch(revision=commit)), commit


def _package() -> Any:
    try:
        import huggingface_hub
    except ImportError:
        raise UserError("the Hub needs huggingface_hub: uv sync --extra hub") from None
    huggingface_hub.logging.set_verbosity_error()  # what matters is said here
    return huggingface_hub


def _api(hub: Any) -> Any:
    return hub.HfApi(endpoint=os.environ.get("HF_ENDPOINT"), library_name="driftpolicy")


@contextmanager
def _one_line(place: Place, hub: Any, api: Any) -> Iterator[None]:
    """Turn the Hub's errors into one line that says what to do."""
    errors, endpoint = hub.errors, api.endpoint
    try:
        yield
    except errors.HFValidationError as error:
        raise UserError(f"{place.name!r} is no repository: {_first_line(error)}") from None
    except errors.RevisionNotFoundError:
        raise UserError(f"{place.name} has no revision {place.revision}") from None
    except errors.RepositoryNotFoundError:
        raise UserError(
            f"there is no repository {place.name} at {endpoint}, or it is not yours to see: check "
            "the name, and the token of a private one (hf auth login)"
        ) from None
    except errors.HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        hint = ": the token may not do this (hf auth login)" if status in (401, 403) else ""
        raise UserError(f"{endpoint} refuses {place.name}{hint} ({_first_line(error)})") from None
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled, errors.HTTPError) as error:
        raise UserError(
            f"cannot reach {endpoint} for {place.name}; check the network ({_cause(error)})"
        ) from None
    except (RuntimeError, OSError, ValueError) as error:
        raise UserError(f"{place.name}: {_cause(error)}") from None


def _cause(error: BaseException) -> str:
    """Return what an error came from in the end, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return _first_line(error) or type(error).__name__


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else ""
