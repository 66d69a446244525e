"""Downloading a published file: resumable, and checked before it counts as there.

What arrives is kept in ``<name>.part``, and in ``<name>.part.json`` what the server answered about
it (entity tag, date, length). A later try continues there with an HTTP range request that names the
file it began with, so a file that changed meanwhile is fetched anew instead of being spliced. Only
a complete file that passes its check gets the final name.
"""

import contextlib
import dataclasses
import fcntl
import hashlib
import http.client
import json
import os
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from email.message import Message
from io import FileIO
from pathlib import Path
from typing import Any

from driftpolicy.data.files import move, write_atomically
from driftpolicy.errors import UserError
from driftpolicy.progress import format_bytes

ATTEMPTS = 5
"""Failures in a row, without a new byte, after which to give up."""
_TIMEOUT_S = 30.0
_BLOCK = 1 << 18
_TRANSIENT_STATUS = (408, 425, 429, 500, 502, 503, 504)

Progress = Callable[[int, int | None], None]


class _TransientError(Exception):
    """A failure that may be gone at the next try."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PublishedFile:
    """Where a dataset's file is published, and where it is looked for."""

    dataset: str
    """The name of the dataset."""
    server: str
    """The folder at the server."""
    name: str
    """The file's path in that folder, and in ours."""
    folder: Path
    """Where the benchmark itself keeps its data on a user's machine."""
    check: Callable[[Path], None]
    """Raises a :class:`UserError` for a file that is damaged."""


def download(
    published: PublishedFile,
    *,
    folder: Path | None = None,
    base_url: str | None = None,
    sha256: str | None = None,
    overwrite: bool = False,
    progress: Progress = lambda done, total: None,
    pause_s: float = 1.0,
) -> Path:
    """Fetch a file from where it is published to where it is looked for, and return its path.

    Args:
        published: says both places.
        folder: where published datasets live; None for where the benchmark itself keeps them.
        base_url: the folder at the server; None for the benchmark's.
        sha256: 64 hexadecimal digits that the whole file must have.
        overwrite: fetch it even if it is there.
        progress: called with the bytes that are here and the bytes in all, if known.
        pause_s: seconds before the second try; doubled before each further one.

    Raises:
        UserError: if the file is there already, the server cannot be reached or has no such file,
            the disk is full (what has come is kept), or what came is not what was promised.
    """
    if sha256 is not None and not re.fullmatch("[0-9a-fA-F]{64}", sha256):
        raise UserError(f"--sha256 takes 64 hexadecimal digits, not {sha256!r}")
    base_url = base_url or published.server
    if not base_url.startswith(("http://", "https://")):
        raise UserError(f"--from takes an http or https address, not {base_url!r}")
    target = (folder or published.folder).expanduser() / published.name
    if target.exists() and not overwrite:
        raise UserError(f"{target} is already there; --overwrite fetches it again")
    url = f"{base_url.rstrip('/')}/{published.name}"
    with _locked_part(target) as part:
        transfer = _Transfer(url, published.dataset, part, progress)
        transfer.fetch(pause_s)
        problem = _damage(part, published.check)
        if problem and transfer.resumed:  # two files that the server did not tell apart
            transfer.forget()
            transfer.fetch(pause_s)
            problem = _damage(part, published.check)
        problem = problem or _wrong_checksum(part, sha256)
        if problem:
            transfer.forget()
            raise UserError(f"what {url} sent {problem}; it has been removed")
        os.fsync(part.fileno())
        try:
            move(Path(part.name), target)
        except OSError as error:
            raise UserError(f"cannot write {target}: {error.strerror}") from None
        transfer.note.unlink(missing_ok=True)
    return target


@contextlib.contextmanager
def _locked_part(target: Path) -> Iterator[FileIO]:
    """Open the part file for reading and appending, locked; remove it if it stays empty."""
    path = target.with_name(target.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = open(path, "a+b", buffering=0)  # noqa: SIM115
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None
    with part:
        try:
            fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
            ours = os.path.samestat(os.fstat(part.fileno()), os.stat(path))
        except OSError:
            ours = False
        if not ours:  # locked by another, or moved into place by another since it was opened
            raise UserError(f"another download of {target.name} is running")
        try:
            yield part
        finally:
            if _size(part) == 0:
                path.unlink(missing_ok=True)
                Path(f"{path}.json").unlink(missing_ok=True)


def _size(file: FileIO) -> int:
    return os.fstat(file.fileno()).st_size


def _damage(part: FileIO, check: Callable[[Path], None]) -> str | None:
    """Say what is wrong with a complete file, if anything."""
    try:
        check(Path(part.name))
    except UserError:
        part.seek(0)
        page = part.read(64).lstrip().startswith(b"<")
        return "is damaged or not a data file" + (" but a web page" if page else "")
    return None


def _wrong_checksum(part: FileIO, sha256: str | None) -> str | None:
    """Say which checksum the file has, if it is another than it must have."""
    if sha256 is None:
        return None
    part.seek(0)
    found = hashlib.file_digest(part, "sha256").hexdigest()
    return None if found == sha256.lower() else f"has the SHA-256 {found}, not {sha256.lower()}"


class _Transfer:
    """One file on its way into an opened part file."""

    def __init__(self, url: str, dataset: str, part: FileIO, progress: Progress):
        self._url = url
        self._dataset = dataset
        self._part = part
        self._progress = progress
        self.note = Path(f"{part.name}.json")
        self.resumed = False
        self._answered = False

    def forget(self) -> None:
        """Drop what has come."""
        self._part.truncate(0)
        self.note.unlink(missing_ok=True)
        self.resumed = False

    def fetch(self, pause_s: float) -> None:
        """Get every byte, over as many requests as it takes."""
        most, failures = _size(self._part), 0
        while True:
            try:
                return self._request()
            except (OSError, http.client.HTTPException, ValueError, _TransientError) as error:
                failures = 1 if _size(self._part) > most else failures + 1
                most = max(most, _size(self._part))
                if failures >= ATTEMPTS or not (self._answered or _may_pass(error)):
                    raise self._unreachable(error) from None
                time.sleep(pause_s * 2 ** (failures - 1))

    def _request(self) -> None:
        """One request, from where the part ends to where the file ends."""
        known = self._known()
        start = _size(self._part) if known else 0
        headers = {"User-Agent": "driftpolicy", "Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
            strong = known["etag"] if not str(known["etag"]).startswith("W/") else None
            if strong or known["date"]:
                headers["If-Range"] = strong or known["date"]
        request = urllib.request.Request(self._url, headers=headers)
        try:
            response = urllib.request.urlopen(request, timeout=_TIMEOUT_S)
        except urllib.error.HTTPError as error:
            self._answered = True
            with error:
                if error.code != 416 or not start:
                    raise self._refused(error) from None
                if start == known["length"]:  # it was complete already
                    self.resumed = True
                    return
                self.forget()
                raise _TransientError("the file at the server has changed") from None
        self._answered = True
        with response:
            version = _version(response.headers)
            if response.status == 206:
                first, length = _range(response.headers)
                version["length"] = length or known["length"]
                changed = any(version[k] != known[k] for k in version if version[k] and known[k])
                if first != start or changed:
                    self.forget()
                    raise _TransientError("the file at the server has changed")
                self.resumed = True
            else:
                start = 0
                self.forget()
                note = json.dumps({"url": self._url, **version}).encode()
                write_atomically(self.note, lambda file: file.write(note), what="download note")
            self._receive(response, start, version["length"])

    def _known(self) -> dict[str, Any]:
        """Return what the server answered about the file that the part is of, or nothing."""
        try:
            known = json.loads(self.note.read_text())
            valid = known["url"] == self._url and {"etag", "date", "length"} < set(known)
        except (OSError, ValueError, TypeError, KeyError):
            return {}
        return known if valid else {}

    def _receive(self, response: http.client.HTTPResponse, done: int, total: int | None) -> None:
        """Append what comes until the file is complete."""
        self._progress(done, total)
        free = shutil.disk_usage(Path(self._part.name).parent).free
        if total is not None and free < total - done:
            raise self._full(f"{format_bytes(total - done)} more needed, {format_bytes(free)} free")
        while block := response.read(_BLOCK):
            rest = memoryview(block)
            while rest:
                try:
                    rest = rest[self._part.write(rest) :]
                except OSError as error:
                    raise self._full(str(error.strerror)) from None
            done += len(block)
            self._progress(done, total)
        if total is not None and done != total:
            raise _TransientError(f"the connection ended after {done} of {total} bytes")

    def _full(self, reason: str) -> UserError:
        kept = format_bytes(_size(self._part))
        return UserError(
            f"cannot write {self._part.name}: {reason}; make room and run the same command again, "
            f"it continues after the {kept} that are here"
        )

    def _refused(self, error: urllib.error.HTTPError) -> Exception:
        if error.code in _TRANSIENT_STATUS:
            return _TransientError(f"{error.code} {error.reason}")
        if error.code in (404, 410):
            return UserError(f"there is no {self._url} ({error.code} {error.reason})")
        return UserError(f"{self._url} is refused ({error.code} {error.reason})")

    def _unreachable(self, error: Exception) -> UserError:
        cause = getattr(error, "reason", error)
        reason = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
        kept = _size(self._part)
        again = f"again later ({format_bytes(kept)} are kept)" if kept else "again later"
        return UserError(
            f"cannot get {self._url}: {reason}; run it {again}, collect the data here "
            f"(dfp data collect {self._dataset}), or train on a file you have (--data PATH)"
        )


def _may_pass(error: Exception) -> bool:
    """Return whether a first request may succeed if it is made again."""
    cause = getattr(error, "reason", error)
    if isinstance(cause, ConnectionRefusedError | http.client.InvalidURL):
        return False
    return isinstance(
        cause, _TransientError | TimeoutError | ConnectionError | http.client.HTTPException
    )


def _version(headers: Message) -> dict[str, Any]:
    """Return what tells this version of a file from another."""
    length = headers.get("Content-Length", "")
    return {
        "etag": headers.get("ETag"),
        "date": headers.get("Last-Modified"),
        "length": int(length) if length.isdigit() else None,
    }


def _range(headers: Message) -> tuple[int | None, int | None]:
    """Return the first byte of a partial answer, and how many the whole file has."""
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("Content-Range", ""))
    if found is None:
        return None, None
    return int(found[1]), int(found[2]) if found[2] != "*" else None
