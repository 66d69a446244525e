"""What changes where there is an accelerator, on a machine that has none."""

import os

import jax
import pytest

from driftpolicy.training.accelerator import default_environments, keep_compiled_programs


@pytest.fixture
def accelerator(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(40)))


def test_environments_are_what_the_cores_can_feed(accelerator, monkeypatch):
    assert [default_environments(runs) for runs in (1, 5, 100)] == [16, 8, 1]
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    assert default_environments(1) == 1


def test_compiled_programs_are_kept_in_the_users_cache(accelerator, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    name, mine = "jax_compilation_cache_dir", str(tmp_path / "mine")
    before = jax.config.values[name]
    try:
        jax.config.update(name, mine)
        keep_compiled_programs()
        assert jax.config.values[name] == mine
        jax.config.update(name, None)
        keep_compiled_programs()
        assert jax.config.values[name] == str(tmp_path / "driftpolicy" / "compiled")
    finally:
        jax.config.update(name, before)
