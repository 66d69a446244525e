"""A server on this machine that misbehaves in every way we know of, and asking it."""

import contextlib
import http.server
import os
import re
from pathlib import Path

import pytest

from driftpolicy.data import download as downloading
from driftpolicy.data.download import ATTEMPTS
from driftpolicy.errors import UserError
from driftpolicy.tasks.registry import benchmark_of, find_task_of_dataset

NAME = "cube-single-play-v0"
TARGET, PART, NOTE = f"{NAME}.npz", f"{NAME}.npz.part", f"{NAME}.npz.part.json"


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


def download(name: str, **options) -> Path:
    """Download a dataset by its name, or a task's."""
    task = find_task_of_dataset(name)
    return downloading.download(benchmark_of(task).published(task), **options)


def fetch(server: Server, folder: Path, **options) -> Path:
    return download(NAME, folder=folder, base_url=server.url, pause_s=0.001, **options)


def refused(server: Server, folder: Path, match: str, **options) -> str:
    with pytest.raises(UserError, match=match) as error:
        fetch(server, folder, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def files(folder: Path) -> set[str]:
    return set(os.listdir(folder))


def break_off(server: Server, folder: Path, kept: int = 200_000) -> None:
    server.drops = [kept] + [0] * (ATTEMPTS - 1)
    refused(server, folder, "the connection ended")
    assert (folder / PART).stat().st_size == kept
    server.requests.clear()
    server.sent = 0
