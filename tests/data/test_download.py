"""Downloads from a server on this machine that misbehaves in every way we know of."""

import contextlib
import errno
import fcntl
import hashlib
import http.server
import os
import re
import resource
import shutil
import socket
import threading
from pathlib import Path

import numpy as np
import pytest

from driftpolicy.data.download import ATTEMPTS, download
from driftpolicy.data.files import read_npz, write_npz
from driftpolicy.errors import UserError

NAME = "cube-single-play-v0"


class Server(http.server.ThreadingHTTPServer):
    """Serves one body. What it does wrong is set from outside."""

    def __init__(self, body: bytes):
        super().__init__(("127.0.0.1", 0), Handler)
        self.body = body
        self.etag: str | None = '"one"'
        self.date: str | None = "Mon, 01 Jan 2024 00:00:00 GMT"
        self.ranges = True
        self.ignores_if_range = False
        self.drops: list[int] = []  # bytes after which the next connections break
        self.statuses: list[int] = []  # answers to the next requests
        self.length = True
        self.requests: list[dict[str, str]] = []
        self.sent = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/data"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        server = self.server
        server.requests.append({"path": self.path, **self.headers})
        if server.statuses:
            self.send_error(server.statuses.pop(0))
            return
        validator = self.headers.get("If-Range")
        current = server.ignores_if_range or validator in (None, server.etag, server.date)
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked[1]) if asked and server.ranges and current else None
        size = len(server.body)
        if start is not None and start >= size:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{size}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200 if start is None else 206)
        if start is not None:
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        rest = server.body[start or 0 :]
        if server.length:
            self.send_header("Content-Length", str(len(rest)))
        for name, value in (("ETag", server.etag), ("Last-Modified", server.date)):
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        if server.drops:
            rest = rest[: server.drops.pop(0)]
        server.sent += len(rest)
        with contextlib.suppress(OSError):
            self.wfile.write(rest)

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def contents(tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("bodies")
    generator = np.random.default_rng(0)
    bodies = {}
    for name in ("one", "two"):
        observations = generator.normal(size=(5000, 28)).astype(np.float32)
        write_npz(folder / f"{name}.npz", {"observations": observations})
        bodies[name] = (folder / f"{name}.npz").read_bytes()
    return bodies


@pytest.fixture
def server(contents, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server(contents["one"]) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def fetch(server: Server, folder: Path, **options) -> Path:
    return download(NAME, folder=folder, base_url=server.url, pause_s=0.001, **options)


def refused(server: Server, folder: Path, match: str, **options) -> str:
    with pytest.raises(UserError, match=match) as error:
        fetch(server, folder, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def files(folder: Path) -> set[str]:
    return set(os.listdir(folder))


TARGET, PART, NOTE = f"{NAME}.npz", f"{NAME}.npz.part", f"{NAME}.npz.part.json"


def test_a_whole_file(server, tmp_path):
    seen = []
    path = fetch(server, tmp_path / "new", progress=lambda *numbers: seen.append(numbers))
    assert path == tmp_path / "new" / TARGET
    assert path.read_bytes() == server.body
    assert files(path.parent) == {TARGET}
    size = len(server.body)
    assert seen[0] == (0, size)
    assert seen[-1] == (size, size)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert server.requests[0]["path"] == f"/data/{NAME}.npz"


def test_a_task_name_means_its_dataset(server, tmp_path):
    path = download(
        "cube-single-play-singletask-task3-v0", folder=tmp_path, base_url=server.url + "/"
    )
    assert path == tmp_path / TARGET


def test_broken_connections_are_continued_where_they_broke(server, tmp_path):
    server.drops = [100_000, 0, 1, 300_000]
    assert fetch(server, tmp_path).read_bytes() == server.body
    starts = [request.get("Range") for request in server.requests]
    assert starts == [None, *(f"bytes={n}-" for n in (100_000, 100_000, 100_001, 400_001))]
    assert all(request["If-Range"] == '"one"' for request in server.requests[1:])
    assert server.sent == len(server.body)


def test_a_later_run_continues_the_part(server, tmp_path):
    server.drops = [100_000] + [0] * (ATTEMPTS - 1)
    text = refused(server, tmp_path, "the connection ended after 100000 of")
    assert len(server.requests) == ATTEMPTS
    assert "100 kB are kept" in text
    for way in ("dfp data collect", "--data"):
        assert way in text
    assert files(tmp_path) == {PART, NOTE}
    seen = []
    fetch(server, tmp_path, progress=lambda *numbers: seen.append(numbers))
    assert seen[0] == (100_000, len(server.body))
    assert (tmp_path / TARGET).read_bytes() == server.body
    assert server.sent == len(server.body)
    assert files(tmp_path) == {TARGET}


def test_progress_renews_patience(server, tmp_path):
    server.drops = [50_000] * (ATTEMPTS + 4)
    assert fetch(server, tmp_path).read_bytes() == server.body


def break_off(server: Server, folder: Path, kept: int = 200_000) -> None:
    server.drops = [kept] + [0] * (ATTEMPTS - 1)
    refused(server, folder, "the connection ended")
    assert (folder / PART).stat().st_size == kept
    server.requests.clear()
    server.sent = 0


@pytest.mark.parametrize("validators", [("etag", "date"), ("etag",), ("date",)])
@pytest.mark.parametrize("honest", [True, False])
def test_a_changed_file_is_fetched_anew(server, contents, tmp_path, validators, honest):
    """Whether the server honours If-Range or answers with the new file's range."""
    server.etag = server.etag if "etag" in validators else None
    server.date = server.date if "date" in validators else None
    break_off(server, tmp_path)
    server.body = contents["two"]
    server.etag = server.etag and '"two"'
    server.date = server.date and "Tue, 02 Jan 2024 00:00:00 GMT"
    server.ignores_if_range = not honest
    seen = []
    path = fetch(server, tmp_path, progress=lambda *numbers: seen.append(numbers))
    assert path.read_bytes() == contents["two"]
    assert len(server.requests) == (1 if honest else 2)
    assert seen[0][0] == 0  # nothing was put behind the old bytes


def test_a_weak_entity_tag_is_not_sent_but_compared(server, contents, tmp_path):
    server.etag, server.date = 'W/"one"', None
    break_off(server, tmp_path)
    server.body, server.etag = contents["two"], 'W/"two"'
    assert fetch(server, tmp_path).read_bytes() == contents["two"]
    assert "If-Range" not in server.requests[0]


def test_without_validators_a_splice_is_noticed_and_undone(server, contents, tmp_path):
    server.etag = server.date = None
    break_off(server, tmp_path)
    server.body = contents["two"]
    assert fetch(server, tmp_path).read_bytes() == contents["two"]
    assert [request.get("Range") for request in server.requests] == ["bytes=200000-", None]


def test_without_validators_an_unchanged_file_is_continued(server, tmp_path):
    server.etag = server.date = None
    break_off(server, tmp_path)
    assert fetch(server, tmp_path).read_bytes() == server.body
    assert server.sent == len(server.body) - 200_000


def test_a_file_that_shrank(server, tmp_path):
    server.etag = server.date = None
    break_off(server, tmp_path, kept=500_000)
    write_npz(tmp_path / "small.npz", {"observations": np.zeros((3, 2))})
    server.body = (tmp_path / "small.npz").read_bytes()
    assert fetch(server, tmp_path).read_bytes() == server.body


def test_another_address_starts_anew(server, contents, tmp_path):
    break_off(server, tmp_path)
    server.body = contents["two"]  # with the same validators
    path = download(NAME, folder=tmp_path, base_url=server.url + "/mirror")
    assert path.read_bytes() == contents["two"]
    assert "Range" not in server.requests[0]


def test_a_complete_part_is_only_verified(server, tmp_path):
    """The program was killed between the last byte and the move."""
    break_off(server, tmp_path)
    with open(tmp_path / PART, "ab") as part:
        part.write(server.body[200_000:])
    assert fetch(server, tmp_path).read_bytes() == server.body
    assert server.sent == 0


def test_a_part_without_its_note_is_not_trusted(server, tmp_path):
    (tmp_path / PART).write_bytes(b"x" * 1000)
    assert fetch(server, tmp_path).read_bytes() == server.body
    (tmp_path / TARGET).unlink()
    (tmp_path / PART).write_bytes(b"x" * 1000)
    (tmp_path / NOTE).write_text("[]")
    assert fetch(server, tmp_path).read_bytes() == server.body


def test_a_server_without_ranges(server, tmp_path):
    server.ranges = False
    server.drops = [100_000, 300_000]
    assert fetch(server, tmp_path).read_bytes() == server.body


def test_a_server_that_always_breaks_off_is_given_up(server, tmp_path):
    server.ranges = False
    server.drops = [100_000] * 100
    refused(server, tmp_path, "the connection ended after 100000 of 560")
    assert len(server.requests) == ATTEMPTS


def test_without_a_length_the_contents_decide(server, tmp_path):
    server.length = False
    seen = []
    fetch(server, tmp_path, progress=lambda *numbers: seen.append(numbers))
    assert (tmp_path / TARGET).read_bytes() == server.body
    assert seen[-1] == (len(server.body), None)
    server.drops = [1000]
    refused(server, tmp_path, "damaged", overwrite=True)
    assert (tmp_path / TARGET).read_bytes() == server.body


def test_busy_servers_are_asked_again(server, tmp_path):
    server.statuses = [503, 429, 500]
    assert fetch(server, tmp_path).read_bytes() == server.body
    server.statuses = [503] * 100
    refused(server, tmp_path, "503 Service Unavailable", overwrite=True)
    assert len(server.requests) == 4 + ATTEMPTS


@pytest.mark.parametrize("status", [404, 410, 403])
def test_refusals_are_not_asked_again(server, tmp_path, status):
    server.statuses = [status]
    assert server.url in refused(server, tmp_path, str(status))
    assert len(server.requests) == 1
    assert files(tmp_path) == set()


def test_an_unreachable_server_names_the_other_ways(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail("waits for nothing"))
    with socket.socket() as deaf:  # bound, so that nobody else is there, but not listening
        deaf.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        with pytest.raises(UserError, match="Connection refused") as error:
            download(NAME, folder=tmp_path, base_url=address)
    text = str(error.value)
    assert "\n" not in text
    assert f"dfp data collect {NAME}" in text
    assert "--data" in text
    assert files(tmp_path) == set()


def test_the_right_and_the_wrong_checksum(server, tmp_path):
    sha256 = hashlib.sha256(server.body).hexdigest()
    assert fetch(server, tmp_path, sha256=sha256.upper()).read_bytes() == server.body
    kept = (tmp_path / TARGET).stat().st_mtime_ns
    text = refused(server, tmp_path, "SHA-256", sha256="0" * 64, overwrite=True)
    assert sha256 in text
    assert files(tmp_path) == {TARGET}
    assert (tmp_path / TARGET).stat().st_mtime_ns == kept


@pytest.mark.parametrize(
    ("garbage", "match"),
    [(b"<!doctype html><p>log in</p>", "web page"), (b"", "damaged"), (b"\0" * 999, "damaged")],
)
def test_garbage_never_gets_the_name(server, tmp_path, garbage, match):
    server.body = garbage
    refused(server, tmp_path, match)
    assert files(tmp_path) == set()


def test_a_flipped_bit_never_gets_the_name(server, tmp_path):
    body = bytearray(server.body)
    body[300_000] ^= 1
    server.body = bytes(body)
    refused(server, tmp_path, "damaged")
    assert files(tmp_path) == set()
    assert len(server.requests) == 1


def test_a_full_disk_keeps_the_part(server, tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
    try:
        text = refused(server, tmp_path, os.strerror(errno.EFBIG))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "300 kB" in text
    assert (tmp_path / PART).read_bytes() == server.body[:300_000]
    assert fetch(server, tmp_path).read_bytes() == server.body
    assert server.requests[1]["Range"] == "bytes=300000-"


def test_too_little_room_is_said_before_anything_is_fetched(server, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    refused(server, tmp_path, "560 kB more needed, 1 kB free")
    assert files(tmp_path) == set()


def test_an_interrupt_keeps_the_part(server, tmp_path):
    def interrupt(done, total):
        if done > 250_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(server, tmp_path, progress=interrupt)
    assert files(tmp_path) == {PART, NOTE}
    fetch(server, tmp_path)
    assert "Range" in server.requests[1]


def test_nothing_is_overwritten_unasked(server, tmp_path):
    fetch(server, tmp_path)
    refused(server, tmp_path, "already there; --overwrite")
    assert len(server.requests) == 1


def test_two_downloads_of_one_file(server, tmp_path):
    def second(done, total):
        refused(server, tmp_path, "another download")

    assert fetch(server, tmp_path, progress=second).read_bytes() == server.body


def test_a_download_that_ends_while_another_begins(server, tmp_path, monkeypatch):
    """The second has opened the part that the first then moves into place: hands off."""

    def flock(part, operation):
        os.replace(tmp_path / PART, tmp_path / TARGET)
        (tmp_path / TARGET).write_bytes(b"whole")

    monkeypatch.setattr(fcntl, "flock", flock)
    refused(server, tmp_path, "another download")
    assert (tmp_path / TARGET).read_bytes() == b"whole"


@pytest.mark.parametrize(
    ("name", "options", "match"),
    [
        ("cube-singel-play-v0", {}, "unknown dataset.*cube-single-play-v0"),
        ("../cube", {}, "unknown dataset"),
        ("cube-quadruple-play-100m-v0", {}, "shards"),
        (NAME, {"sha256": "12ab"}, "64 hexadecimal digits"),
        (NAME, {"base_url": "ftp://127.0.0.1"}, "http"),
        (NAME, {"base_url": "http://[bad"}, "cannot get"),
        (NAME, {"base_url": "http://127.0.0.1:port"}, "cannot get"),
    ],
)
def test_mistakes_are_said_in_one_line(tmp_path, name, options, match):
    with pytest.raises(UserError, match=match) as error:
        download(name, folder=tmp_path, **options)
    assert "\n" not in str(error.value)
    assert files(tmp_path) == set()


def test_a_folder_that_cannot_be_written(server, tmp_path):
    (tmp_path / "file").write_text("")
    refused(server, tmp_path / "file", "cannot write")


def test_what_was_fetched_can_be_read(server, tmp_path):
    assert read_npz(fetch(server, tmp_path))["observations"].shape == (5000, 28)
