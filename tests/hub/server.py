"""A hub on this machine: the endpoints of the Hugging Face Hub that are used, and no others."""

import base64
import hashlib
import http.server
import importlib
import importlib.util
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

TOKEN = "hf_token"


class Hub:
    """The repositories: by kind and name a list of commits, each the contents by path."""

    def __init__(self) -> None:
        self.url = ""
        self.commits: dict[str, list[dict[str, bytes]]] = {}
        self.blobs: dict[str, bytes] = {}
        self.private: set[str] = set()
        self.asked: list[str] = []  # every request, as METHOD PATH

    def shas(self, repository: str) -> list[str]:
        """The hashes of the commits, oldest first."""
        states = self.commits[repository]
        return [hashlib.sha1(f"{repository} {i}".encode()).hexdigest() for i in range(len(states))]

    def state(self, repository: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """The commit and the contents of a revision."""
        shas = self.shas(repository)
        revision = shas[-1] if revision == "main" else revision
        if revision not in shas:
            return None
        return revision, self.commits[repository][shas.index(revision)]


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, status: int, body: Any = b"", **headers: str) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def handle_any(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(f"{self.command} {path}")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        allowed = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        writes = self.command in ("POST", "PUT") and "/lfs/" not in path
        if writes and not allowed:
            self.answer(401, {"error": "Invalid username or password."})
            return
        for method, pattern, act in _ROUTES:
            found = re.fullmatch(pattern, path)
            if found and self.command in method:
                act(self, body, allowed, **found.groupdict())
                return
        self.answer(404, {"error": f"no such address: {path}"})

    do_GET = do_HEAD = do_POST = do_PUT = handle_any

    def create(self, body: bytes, allowed: bool) -> None:
        asked = json.loads(body)
        name = "/".join([asked.get("organization") or "me", asked["name"]])
        repository = f"{asked.get('type', 'model')}s/{name}"
        if repository in self.hub.commits:
            self.answer(409, {"error": "it exists", "url": f"{self.hub.url}/{name}"})
            return
        self.hub.commits[repository] = [{}]
        if asked.get("private") or asked.get("visibility") == "private":
            self.hub.private.add(repository)
        self.answer(200, {"url": f"{self.hub.url}/{name}"})

    def there(self, repository: str, allowed: bool) -> bool:
        if repository in self.hub.commits and (allowed or repository not in self.hub.private):
            return True
        self.answer(404, {"error": "Repository not found"}, X_Error_Code="RepoNotFound")
        return False

    def info(self, body: bytes, allowed: bool, repository: str, revision: str = "main") -> None:
        if self.there(repository, allowed):
            state = self.hub.state(repository, revision or "main")
            if state is None:
                self.answer(404, {"error": "Invalid rev"}, X_Error_Code="RevisionNotFound")
                return
            siblings = [{"rfilename": name} for name in state[1]]
            name = repository.partition("/")[2]
            self.answer(200, {"id": name, "sha": state[0], "siblings": siblings, "tags": []})

    def tree(self, body: bytes, allowed: bool, repository: str, revision: str) -> None:
        if self.there(repository, allowed):
            state = self.hub.state(repository, revision)
            assert state is not None
            self.answer(
                200,
                [
                    {"type": "file", "path": name, "size": len(content), "oid": _sha1(content)}
                    for name, content in state[1].items()
                ],
            )

    def preupload(self, body: bytes, allowed: bool, repository: str) -> None:
        files = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith((".npz", ".mp4")) else "regular",
                "shouldIgnore": False,
            }
            for file in json.loads(body)["files"]
        ]
        self.answer(200, {"files": files})

    def batch(self, body: bytes, allowed: bool, repository: str) -> None:
        objects = []
        for one in json.loads(body)["objects"]:
            upload = {"href": f"{self.hub.url}/lfs/{one['oid']}"}
            there = one["oid"] in self.hub.blobs
            objects.append({**one, **({} if there else {"actions": {"upload": upload}})})
        self.answer(200, {"transfer": "basic", "objects": objects})

    def put(self, body: bytes, allowed: bool, oid: str) -> None:
        assert hashlib.sha256(body).hexdigest() == oid
        self.hub.blobs[oid] = body
        self.answer(200)

    def commit(self, body: bytes, allowed: bool, repository: str) -> None:
        contents = dict(self.hub.commits[repository][-1])
        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                contents[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "deletedFile":
                del contents[value["path"]]
            elif entry["key"] == "lfsFile":
                contents[value["path"]] = self.hub.blobs[value["oid"]]
        self.hub.commits[repository].append(contents)
        sha = self.hub.shas(repository)[-1]
        url = f"{self.hub.url}/{repository}/commit/{sha}"
        self.answer(200, {"commitUrl": url, "commitOid": sha})

    def validate(self, body: bytes, allowed: bool) -> None:
        self.answer(200, {"errors": [], "warnings": []})

    def resolve(
        self, body: bytes, allowed: bool, repository: str, revision: str, name: str
    ) -> None:
        if not repository.startswith("datasets/"):
            repository = f"models/{repository}"
        if self.there(repository, allowed):
            state = self.hub.state(repository, revision)
            assert state is not None
            if name not in state[1]:
                self.answer(404, {"error": "no entry"}, X_Error_Code="EntryNotFound")
                return
            content = state[1][name]
            headers = {"ETag": f'"{_sha1(content)}"', "X_Repo_Commit": state[0]}
            self.answer(200, content, **headers)


_REPOSITORY = r"(?P<repository>(?:models|datasets)/[\w.-]+/[\w.-]+)"
_PLAIN = r"(?P<repository>(?:datasets/)?[\w.-]+/[\w.-]+)"
_ROUTES = [
    (("POST",), r"/api/repos/create", _Handler.create),
    (("POST",), r"/api/validate-yaml", _Handler.validate),
    (("GET",), rf"/api/{_REPOSITORY}(?:/revision/(?P<revision>[\w.-]+))?", _Handler.info),
    (("GET",), rf"/api/{_REPOSITORY}/tree/(?P<revision>\w+)", _Handler.tree),
    (("POST",), rf"/api/{_REPOSITORY}/preupload/main", _Handler.preupload),
    (("POST",), rf"/api/{_REPOSITORY}/commit/main", _Handler.commit),
    (("POST",), rf"/{_PLAIN}\.git/info/lfs/objects/batch", _Handler.batch),
    (("PUT",), r"/lfs/(?P<oid>\w+)", _Handler.put),
    (
        ("GET", "HEAD"),
        rf"/{_PLAIN}/resolve/(?P<revision>\w+)/(?P<name>.+)",
        _Handler.resolve,
    ),
]


def _sha1(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


@contextmanager
def serving() -> Iterator[Hub]:
    """Serve an empty hub."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        hub.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield hub
        server.shutdown()
        thread.join()


@contextmanager
def hub_of_a_test(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Serve an empty hub, and let it be the only one, with a token and a cache of the test."""
    with serving() as hub:
        patch.setenv("HF_ENDPOINT", hub.url)
        patch.setenv("HF_TOKEN", TOKEN)
        patch.setenv("no_proxy", "127.0.0.1")
        if importlib.util.find_spec("huggingface_hub"):
            constants = importlib.import_module("huggingface_hub.constants")
            patch.setattr(constants, "HF_HUB_CACHE", str(folder / "hub"))
            patch.setattr(constants, "HF_TOKEN_PATH", str(folder / "token"))
            patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        yield hub
