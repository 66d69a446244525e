"""Opening a user's environment: any of Gymnasium's with a Box of observations and one of actions.

It is named by Gymnasium's id (``Reacher-v5``) or by a function that makes it, in a module or in a
file: ``my_robot.sim:make``, ``my_robot.py:make``. The function is called with ``render_mode`` if it
takes one, else with nothing.
"""

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import gymnasium
from gymnasium.envs.registration import load_env_creator

from driftpolicy.envs.guard import one_line
from driftpolicy.envs.opengl import with_opengl_or_without
from driftpolicy.errors import UserError
from driftpolicy.importing import load_module

_IMAGES = "rgb_array"


def open_environment(name: str, limit: int | None = None) -> Any:
    """Make the environment of this name, its episodes truncated after ``limit`` steps if given.

    Raises:
        UserError: if there is none, it cannot be made, or has other spaces than Boxes of numbers in
            a row.
    """
    try:
        environment = with_opengl_or_without(lambda: _open(name, limit))
    except UserError:
        raise
    except (Exception, SystemExit) as error:  # the user's code, or a package's
        raise UserError(f"cannot make {name}: {one_line(error)}") from None
    for what in ("observation", "action"):
        space = getattr(environment, f"{what}_space", None)
        if not isinstance(space, gymnasium.spaces.Box) or len(space.shape) != 1:
            advice = {
                "observation": "wrap it, for instance in gymnasium.wrappers.FlattenObservation",
                "action": "the methods here act by continuous numbers only",
            }
            raise UserError(
                f"{name}: its {what} space is {space}, not a Box of numbers in a row; "
                + advice[what]
            )
    return environment


def _open(name: str, limit: int | None) -> Any:
    head, _, tail = name.rpartition(":")
    if not head and name.endswith(".py"):
        raise UserError(f"name the function that makes the environment too, as in {name}:make")
    maker = getattr(load_module(head), tail, None) if head else None
    if head and maker is None and tail not in gymnasium.registry:
        raise UserError(f"{head} has no {tail}")
    return _registered(tail, limit) if maker is None else _made(maker, limit)


def _made(maker: Callable[..., Any], limit: int | None) -> Any:
    takes = "render_mode" in inspect.signature(maker).parameters
    environment = maker(render_mode=_IMAGES) if takes else maker()
    if not isinstance(environment, gymnasium.Env):
        raise UserError(f"{maker.__name__} gives {type(environment).__name__}, not a gymnasium.Env")
    return gymnasium.wrappers.TimeLimit(environment, limit) if limit else environment


def _registered(name: str, limit: int | None) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of float64 bounds and older versions
        spec = gymnasium.spec(name)
        creator = spec.entry_point
        creator = load_env_creator(creator) if isinstance(creator, str) else creator
        modes = getattr(creator, "metadata", {}).get("render_modes", ())
        options: dict[str, Any] = {"render_mode": _IMAGES} if _IMAGES in modes else {}
        options |= {"max_episode_steps": limit} if limit else {}
        return gymnasium.make(name, disable_env_checker=True, **options)


def control_rate_of(environment: Any) -> float | None:
    """Return 1 / ``dt`` of a simulator that has one, else the frames per second that it states."""
    dt = getattr(environment.unwrapped, "dt", None)
    rate = 1 / dt if dt else (environment.metadata or {}).get("render_fps")
    return float(rate) if rate else None
