"""``dfp doctor`` and ``dfp tasks``."""

import pytest

from driftpolicy.cli import doctor, main
from driftpolicy.envs.opengl import no_opengl
from tests.opengl import BARE


@pytest.mark.parametrize(
    "value", ["osmesa", *(pytest.param(v, marks=pytest.mark.slow) for v in ("glfw", "nonsense"))]
)
def test_doctor_names_versions_devices_and_rendering(capfd, monkeypatch, value):
    monkeypatch.setenv("MUJOCO_GL", value)
    monkeypatch.setenv("PYTHONPATH", BARE)
    monkeypatch.delenv("DISPLAY", raising=False)  # which GLFW needs
    monkeypatch.setattr(doctor, "_extras", lambda: {"json": "some", "no_such_module": "other"})
    assert main(["doctor"]) == 0
    out = capfd.readouterr()
    words = ("driftpolicy", "jax", "mujoco", "ogbench", "cores", "cpu:0", "uv sync --extra other")
    for word in words:
        assert word in out.out
    assert str(no_opengl(value)) in " ".join(out.out.split())
    assert out.err == ""


def test_tasks_are_listed_and_filtered(capsys):
    assert main(["tasks", "cube-double-play", "task2"]) == 0
    assert capsys.readouterr().out == "cube-double-play-singletask-task2-v0\n"


def test_version(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert stopped.value.code == 0
    assert "driftpolicy 0.1.0" in capsys.readouterr().out
