"""The contents of small files, made once, and a server."""

import threading

import numpy as np
import pytest

from driftpolicy.data.files import write_npz
from tests.waiting import PATIENCE

from .serving import Server


@pytest.fixture(scope="session")
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
    monkeypatch.setattr("driftpolicy.data.download._TIMEOUT_S", PATIENCE)
    with Server(contents["one"]) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()
