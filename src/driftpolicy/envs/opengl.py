"""OpenGL, which drawing needs and nothing else.

MuJoCo and dm_control load what ``MUJOCO_GL`` names when they are imported, and cannot be imported
where that is missing; robosuite sets the variable for the rest of the process. So simulators are
imported as if nothing were ever to be drawn, and the library is loaded before the first scene is.
"""

import contextlib
import importlib
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from driftpolicy.errors import UserError

PACKAGES = {"egl": "libegl1 libgl1-mesa-dri", "osmesa": "libosmesa6"}
"""What to install for the values of ``MUJOCO_GL`` that need no display, the better one first."""
_Made = TypeVar("_Made")


@contextlib.contextmanager
def without_opengl() -> Iterator[None]:
    """Keep imports in here from loading OpenGL, whatever ``MUJOCO_GL`` says, or setting it."""
    saved = os.environ.get("MUJOCO_GL")
    os.environ["MUJOCO_GL"] = "disable"
    try:
        yield
    finally:
        if saved is None:
            os.environ.pop("MUJOCO_GL", None)
        else:
            os.environ["MUJOCO_GL"] = saved


def with_opengl_or_without(make: Callable[[], _Made]) -> _Made:
    """Call a user's ``make``, which may draw: as it is, or if that fails without OpenGL."""
    try:
        return make()
    except UserError:
        raise
    except Exception:
        if "MUJOCO_GL" in os.environ:  # may name what is not there, and what is not needed
            with contextlib.suppress(Exception), without_opengl():
                return make()
        raise


@contextlib.contextmanager
def drawing() -> Iterator[None]:
    """Make it possible to create a renderer of MuJoCo in here, with what ``MUJOCO_GL`` names.

    Raises:
        UserError: if it cannot, saying what to install.
    """
    import mujoco

    try:
        contexts = sys.modules[mujoco.Renderer.__module__].gl_context
        if not hasattr(contexts, "GLContext"):  # imported without OpenGL
            importlib.reload(contexts)
        with warnings.catch_warnings():  # GLFW warns of what then fails
            warnings.simplefilter("ignore")
            yield
    except Exception as error:
        raise no_opengl(os.environ.get("MUJOCO_GL", "")) from error


def draw_plainly(model: Any) -> None:
    """Draw a model without shadows and smoothed edges: a sixth of the time in software."""
    model.vis.quality.shadowsize = 0
    model.vis.quality.offsamples = 0


def no_opengl(*chosen: str) -> UserError:
    """Return the error that nothing can be drawn with these values of ``MUJOCO_GL``."""
    wanted = [PACKAGES[name] for name in chosen if name in PACKAGES]
    install = "apt-get install " + ", or ".join(wanted or PACKAGES.values())
    if wanted:
        what = f"no working OpenGL ({' or '.join(chosen)}); install one, for instance {install}"
        return UserError(f"cannot render: {what}")
    given = f"MUJOCO_GL={chosen[0]}" if chosen[0] else "MUJOCO_GL unset"
    return UserError(
        f"cannot render with {given}: set it to {' or '.join(PACKAGES)}, which need no display "
        f"({install})"
    )
