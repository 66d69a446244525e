"""Any Gymnasium environment with a Box of observations and a Box of actions.

Named by Gymnasium's id (``Reacher-v5``) or by a function that makes it, in a module or in a file:
``my_robot.sim:make``, ``my_robot.py:make``. The function is called with ``render_mode`` if it takes
one, else with nothing.
"""

import importlib
import importlib.util
import inspect
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.registration import load_env_creator
from jaxtyping import Float, Float32, UInt8

from driftpolicy.envs.base import Facts, Step
from driftpolicy.envs.opengl import with_opengl_or_without
from driftpolicy.tasks.task import Task
from driftpolicy.errors import UserError

SUCCESS_KEYS = ("success", "is_success")
"""Where ``info`` says whether the task is done."""
_ENDLESS = 100_000  # steps after which an episode is taken for one without an end
_IMAGES = "rgb_array"


def open_environment(name: str, limit: int | None = None) -> Any:
    """The environment of this name, its episodes truncated after ``limit`` steps if given.

    Raises:
        UserError: if there is none, it cannot be made, or has other spaces than Boxes of numbers in
            a row.
    """
    try:
        environment = with_opengl_or_without(lambda: _open(name, limit))
    except UserError:
        raise
    except Exception as error:  # the user's code, or a package's
        raise UserError(f"cannot make {name}: {_one_line(error)}") from None
    for what in ("observation", "action"):
        space = getattr(environment, f"{what}_space", None)
        if not isinstance(space, gymnasium.spaces.Box) or len(space.shape) != 1:
            raise UserError(
                f"{name}: its {what} space is {space}, not a Box of numbers in a row; wrap it, "
                "for instance in gymnasium.wrappers.FlattenObservation"
            )
    return environment


def _open(name: str, limit: int | None) -> Any:
    head, _, tail = name.rpartition(":")
    maker = getattr(_module(head), tail, None) if head else None
    if head and maker is None and tail not in gymnasium.registry:
        raise UserError(f"{head} has no {tail}")
    return _registered(tail, limit) if maker is None else _made(maker, limit)


def _module(head: str) -> ModuleType:
    """A module by its name, looked for in the present folder too, or by its file."""
    if not head.endswith(".py"):
        if "" not in sys.path:
            sys.path.append("")
        return importlib.import_module(head)
    path = Path(head).expanduser()
    if not path.is_file():
        raise UserError(f"{head}: no such file")
    known = "_own_" + str(path.resolve()).replace(".", "_")
    if known not in sys.modules:
        spec = importlib.util.spec_from_file_location(known, path)
        assert spec is not None
        assert spec.loader is not None
        sys.path.append(str(path.parent.resolve()))  # it may import what lies beside it
        sys.modules[known] = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(sys.modules[known])
        except BaseException:
            del sys.modules[known]
            raise
    return sys.modules[known]


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


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {text} ({Path(where.filename).name}, line {where.lineno})"


def _control_rate(environment: Any) -> float | None:
    """1 / ``dt`` of a simulator that has one, else the frames per second that it states."""
    dt = getattr(environment.unwrapped, "dt", None)
    rate = 1 / dt if dt else (environment.metadata or {}).get("render_fps")
    return float(rate) if rate else None


class GymnasiumEnvironment:
    """An environment of the user's own, in the agent's units.

    An episode succeeds if ``info`` says so at any of its steps, or else if its return at the end
    reaches the threshold that the user stated.
    """

    def __init__(self, task: Task):
        """``task`` says how the environment is made and scaled."""
        assert task.own is not None
        self._own = task.own
        self._name = task.environment
        self._environment = open_environment(task.environment, task.own.max_episode_steps)
        self.observation_dim = int(self._environment.observation_space.shape[0])
        self.action_dim = int(self._environment.action_space.shape[0])
        self.control_rate = _control_rate(self._environment)
        self._return, self._steps, self._success = 0.0, 0, False

    def reset(self, seed: int) -> Float32[np.ndarray, " observation"]:
        """Start the episode of this seed."""
        self._return, self._steps, self._success = 0.0, 0, False
        observation, _ = self._environment.reset(seed=seed)
        return self._observe(observation)

    def goal(self) -> str:
        """What counts as a success."""
        stated = self._own.success_return
        return (
            "success, as the environment tells it" if stated is None else f"a return of {stated:g}"
        )

    def step(self, action: Float[np.ndarray, " action"]) -> Step:
        """One control step with the user's action for ``action``.

        Raises:
            UserError: if the episode does not end.
        """
        scaling = self._own.scaling
        raw = np.asarray(action, np.float32) if scaling is None else scaling.raw_actions(action)
        observation, reward, terminated, truncated, info = self._environment.step(
            raw.astype(self._environment.action_space.dtype)
        )
        self._steps += 1
        self._return += float(reward)
        if self._steps >= _ENDLESS:
            raise UserError(f"{self._name}: an episode does not end; limit it: --max-episode-steps")
        terminated, truncated = bool(terminated), bool(truncated)
        if self._own.success_return is None:
            self._success |= bool(success_of(info))
        elif terminated or truncated:
            self._success = self._return >= self._own.success_return
        if self._own.reward == "success":
            reward, terminated = float(self._success) - 1.0, terminated or self._success
        seen = self._observe(observation)
        return Step(seen, float(reward), terminated, truncated and not terminated, self._success)

    def _observe(self, raw: np.ndarray) -> np.ndarray:
        scaling = self._own.scaling
        return np.array(raw, np.float32) if scaling is None else scaling.observations(raw)

    def render(self) -> UInt8[np.ndarray, "height width 3"]:
        """The environment's own image.

        Raises:
            UserError: if it makes none.
        """
        try:
            image = self._environment.render()
        except gymnasium.error.Error as error:
            raise UserError(_one_line(error)) from None
        if not isinstance(image, np.ndarray):
            raise UserError(
                f"{self._name} gives no images: its function must take render_mode and pass it on"
            )
        return image


def success_of(info: dict[str, Any]) -> bool | None:
    """Whether a step was a success; None if ``info`` does not say."""
    return next((bool(info[key]) for key in SUCCESS_KEYS if key in info), None)


def probe(task: Task) -> Facts:
    """Make a task's environment and try it.

    Raises:
        UserError: as :func:`open_environment`, or if it cannot be reset and stepped.
    """
    assert task.own is not None
    environment = open_environment(task.environment, task.own.max_episode_steps)
    space = environment.action_space
    low, high = space.low.astype(np.float64), space.high.astype(np.float64)
    middle = ((low.clip(-1e3, 1e3) + high.clip(-1e3, 1e3)) / 2).astype(space.dtype)
    try:
        once, told = _try(environment, middle, 5)
        again, _ = _try(environment, middle, 5)
        if not told:  # it may be told at the end of an episode only
            _, told = _try(environment, middle, 1000)
    except Exception as error:  # the user's code
        raise UserError(f"cannot run {task.environment}: {_one_line(error)}") from None
    expected = environment.observation_space.shape
    if once[0].shape != expected:
        raise UserError(
            f"{task.environment}: an observation has shape {once[0].shape}, its space {expected}"
        )
    rate = _control_rate(environment)
    environment.close()
    same = all(map(np.array_equal, once, again)) and len(once) == len(again)
    return Facts(expected[0], low, high, rate, told, same)


def _try(environment: Any, action: np.ndarray, steps: int) -> tuple[list[np.ndarray], bool]:
    """The observations of a fixed episode's start, and whether any ``info`` speaks of success."""
    observation, _ = environment.reset(seed=0)
    seen, told = [np.array(observation)], False
    for _ in range(steps):
        observation, _, terminated, truncated, info = environment.step(action)
        seen.append(np.array(observation))
        told = told or success_of(info) is not None
        if terminated or truncated:
            break
    return seen, told
