"""``dfp doctor`` and ``dfp tasks``."""

import pytest

from driftpolicy.cli import main


def test_doctor_names_versions_devices_and_rendering(capsys, monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "glfw")  # needs a display, and there is none
    monkeypatch.delenv("DISPLAY", raising=False)
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    for word in ("driftpolicy", "jax", "mujoco", "ogbench", "cores", "cpu:0", "uv sync --extra"):
        assert word in out
    assert "cannot render: no working OpenGL (glfw); install" in " ".join(out.split())


def test_tasks_are_listed_and_filtered(capsys):
    assert main(["tasks", "cube-double-play", "task2"]) == 0
    assert capsys.readouterr().out == "cube-double-play-singletask-task2-v0\n"


def test_version(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert stopped.value.code == 0
    assert "driftpolicy 0.1.0" in capsys.readouterr().out
