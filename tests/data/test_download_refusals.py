"""Downloads that must not succeed: refusals, garbage, full disks, mistakes."""

import errno
import fcntl
import hashlib
import os
import resource
import shutil
import socket

import pytest

from driftpolicy.data.download import ATTEMPTS
from driftpolicy.data.files import read_npz
from driftpolicy.errors import UserError

from .serving import NAME, NOTE, PART, TARGET, download, fetch, files, refused


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
