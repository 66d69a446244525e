"""Simulators where there is no OpenGL, whatever ``MUJOCO_GL`` asks for, in fresh processes."""

import importlib.util
import os
import subprocess
import sys

import pytest

from driftpolicy.envs.opengl import no_opengl, with_opengl_or_without, without_opengl
from driftpolicy.errors import UserError
from driftpolicy.tasks.registry import find_task
from driftpolicy.tasks.robomimic.environment import require_robosuite
from driftpolicy.training.video import FilmRunner, film_workers
from tests.opengl import BARE

CUBE, LIFT = "cube-single-play-singletask-task1-v0", "lift-mh-low_dim"
needs_robosuite = pytest.mark.skipif(
    importlib.util.find_spec("robosuite") is None,
    reason="needs robosuite: uv sync --extra robomimic",
)
ROBOMIMIC = [needs_robosuite, pytest.mark.slow, pytest.mark.simulator]
BOTH = [pytest.param(CUBE, id="ogbench"), pytest.param(LIFT, id="robomimic", marks=ROBOMIMIC)]
STEP = """
import os, sys
import numpy as np
from driftpolicy.tasks.registry import make_environment
from driftpolicy.tasks.registry import find_task
from driftpolicy.errors import UserError

def variables():
    return [os.environ.get(name) for name in ("MUJOCO_GL", "PYOPENGL_PLATFORM")]

before = variables()
environment = make_environment(find_task(sys.argv[1]))
environment.reset(0)
environment.step(np.zeros(environment.action_dim))
assert variables() == before
for line in open("/proc/self/maps"):
    assert not any(name in line for name in ("libGL", "libEGL", "libOSMesa", "libOpenGL")), line
"""
RENDER = """
try:
    print(environment.render().std() > 10)
except UserError as error:
    print(error)
"""


def outside(script: str, *arguments: str, bare: bool = True, **variables: str) -> str:
    """What a fresh process prints, on a machine without OpenGL if ``bare``."""
    path = {"PYTHONPATH": BARE} if bare else {}
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env=os.environ | path | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.parametrize("task", BOTH)
@pytest.mark.parametrize(
    "value", ["egl", *(pytest.param(v, marks=pytest.mark.slow) for v in ("osmesa", "nonsense"))]
)
def test_stepping_loads_no_opengl_and_drawing_says_what_to_install(task, value):
    message = outside(STEP + RENDER, task, MUJOCO_GL=value)
    assert message == f"{no_opengl(value)}\n"


@pytest.fixture(scope="module")
def works() -> str:
    """A value of ``MUJOCO_GL`` with which this machine renders."""
    with film_workers(find_task(CUBE)) as workers:
        return workers.call(0, FilmRunner.renderer)


@pytest.mark.parametrize("task", BOTH)
@pytest.mark.slow
@pytest.mark.simulator
def test_where_there_is_opengl_it_is_loaded_for_the_first_scene(task, works):
    assert outside(STEP + RENDER, task, bare=False, MUJOCO_GL=works) == "True\n"


@pytest.mark.parametrize("value", ["egl", "nonsense"])
@pytest.mark.slow
def test_an_environment_of_the_users_own_that_could_draw(value):
    script = STEP.replace("assert variables() == before\n", "")  # MuJoCo is tried as it is
    outside(script, "gymnasium:Reacher-v5", MUJOCO_GL=value)


@pytest.mark.parametrize("value", ["egl", "glfw"])
@pytest.mark.slow
@pytest.mark.simulator
def test_filming_it_says_what_to_install_and_nothing_else(value):
    film = (
        "from driftpolicy.tasks.registry import find_task\n"
        "from driftpolicy.training.video import FilmRunner, film_workers\n"
        "try:\n    film_workers(find_task('gymnasium:Reacher-v5'))\n"
        "except Exception as error:\n    print(error)"
    )
    assert outside(film, MUJOCO_GL=value, DISPLAY="") == f"{no_opengl(value)}\n"


@pytest.mark.slow
@pytest.mark.simulator
def test_collecting_in_processes(tmp_path):
    collect = "import sys; from driftpolicy.cli import main; sys.exit(main())"
    numbers = ("--episodes", "1", "--episode-steps", "20", "--processes", "1")
    words = ("data", "collect", "scene-noisy-v0", *numbers, "--out", str(tmp_path / "a.npz"))
    outside(collect, *words, MUJOCO_GL="egl")
    assert (tmp_path / "a.npz").stat().st_size > 0


def test_what_to_do_is_one_line():
    assert str(no_opengl("egl", "osmesa")) == (
        "cannot render: no working OpenGL (egl or osmesa); install one, for instance apt-get "
        "install libegl1 libgl1-mesa-dri, or libosmesa6"
    )
    assert str(no_opengl("osmesa")).endswith("apt-get install libosmesa6")
    for value, name in (("glfw", "MUJOCO_GL=glfw"), ("", "MUJOCO_GL unset")):
        assert str(no_opengl(value)) == (
            f"cannot render with {name}: set it to egl or osmesa, which need no display "
            "(apt-get install libegl1 libgl1-mesa-dri, or libosmesa6)"
        )


@pytest.mark.parametrize("value", [None, "egl"])
def test_the_variable_is_as_it_was(monkeypatch, value):
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    if value:
        monkeypatch.setenv("MUJOCO_GL", value)
    with pytest.raises(ValueError, match="disable"), without_opengl():
        raise ValueError(os.environ["MUJOCO_GL"])
    assert os.environ.get("MUJOCO_GL") == value


def test_code_of_others_is_run_as_it_is_first(monkeypatch):
    seen = []

    def make(works: str | None = "egl") -> str | None:
        seen.append(os.environ.get("MUJOCO_GL"))
        if seen[-1] != works:
            raise ValueError(seen[-1])
        return works

    monkeypatch.setenv("MUJOCO_GL", "egl")
    assert with_opengl_or_without(make) == "egl"
    assert with_opengl_or_without(lambda: make("disable")) == "disable"
    with pytest.raises(ValueError, match="egl"):  # the first error, not that of the second try
        with_opengl_or_without(lambda: make("other"))
    assert seen == ["egl", "egl", "disable", "egl", "disable"]
    monkeypatch.delenv("MUJOCO_GL")
    with pytest.raises(ValueError, match="None"):
        with_opengl_or_without(make)
    assert seen[5:] == [None]


def test_a_package_that_cannot_be_imported_says_why(monkeypatch):
    monkeypatch.setitem(sys.modules, "robosuite", None)
    with pytest.raises(UserError, match=r"^Robomimic's tasks need robosuite: .* \(.*None.*\)$"):
        require_robosuite()
