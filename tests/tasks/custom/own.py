"""Environments of somebody's own, small enough to know every answer."""

from typing import Any, ClassVar

import gymnasium
import numpy as np

LOW, HIGH = np.array([-0.5, -2.0]), np.array([0.5, 4.0])
NEAR = 0.4
LIMIT = 12


class Point(gymnasium.Env):
    """A point in the plane: it moves by the action, in metres; reward minus its distance from 0.

    ``info`` says when it is nearer than NEAR; nothing ends but the time, at LIMIT steps.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 10}

    def __init__(self, render_mode: str | None = None):
        self.render_mode = render_mode
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float64)
        self.action_space = gymnasium.spaces.Box(LOW.astype(np.float32), HIGH.astype(np.float32))
        self.place = np.zeros(2)
        self.asked: list[np.ndarray] = []  # every action

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple:
        super().reset(seed=seed)
        self.place = self.np_random.uniform(-1, 1, 2)
        return self.place.copy(), {}

    def step(self, action: np.ndarray) -> tuple:
        self.asked.append(action)
        self.place = self.place + action
        distance = float(np.hypot(*self.place))
        return self.place.copy(), -distance, False, False, {"success": distance < NEAR}

    def render(self) -> Any:
        return np.full((40, 56, 3), 200, np.uint8) if self.render_mode == "rgb_array" else None


def limited(environment: gymnasium.Env) -> gymnasium.Env:
    return gymnasium.wrappers.TimeLimit(environment, LIMIT)


def make(render_mode: str | None = None) -> gymnasium.Env:
    return limited(Point(render_mode))


def invisible() -> gymnasium.Env:
    """Takes no ``render_mode``."""
    return limited(Point())


class Undrawn(Point):
    def render(self) -> Any:
        raise NotImplementedError  # as Gymnasium's base class does


def undrawn() -> gymnasium.Env:
    return limited(Undrawn())


def endless() -> gymnasium.Env:
    return Point()


class Silent(gymnasium.Wrapper):
    """Says nothing of success."""

    def step(self, action: Any) -> tuple:
        observation, reward, _, truncated, _ = self.env.step(action)
        return observation, reward, False, truncated, {}


def silent() -> gymnasium.Env:
    return Silent(limited(Point()))


class Late(gymnasium.Wrapper):
    """Says it at an episode's end only, under the other name."""

    def step(self, action: Any) -> tuple:
        observation, reward, terminated, truncated, info = self.env.step(action)
        told = {"is_success": np.bool_(info["success"])} if truncated else {}
        return observation, reward, terminated, truncated, told


def late() -> gymnasium.Env:
    return Late(limited(Point()))


class Restless(Point):
    """Does what it likes."""

    def step(self, action: np.ndarray) -> tuple:
        return super().step(action + np.random.default_rng().normal(size=2))


def restless() -> gymnasium.Env:
    return limited(Restless())


def pictures() -> gymnasium.Env:
    environment = Point()
    environment.observation_space = gymnasium.spaces.Box(0, 255, (8, 8, 3), np.uint8)
    return environment


def boundless() -> gymnasium.Env:
    environment = Point()
    environment.action_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)
    return limited(environment)


class Old(Point):
    """Steps as before Gymnasium."""

    def step(self, action: np.ndarray) -> tuple:
        return super().step(action)[:4]


def old() -> gymnasium.Env:
    return Old()


def wider() -> gymnasium.Env:
    environment = Point()
    environment.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (3,), np.float64)
    return environment


def broken() -> gymnasium.Env:
    raise ValueError("the robot is\nnot plugged in")


def nothing() -> None:
    return None


class Deaf(Point):
    """Begins every episode in the same place."""

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple:
        super().reset(seed=7)
        return self.place.copy(), {}


def deaf() -> gymnasium.Env:
    return limited(Deaf())
