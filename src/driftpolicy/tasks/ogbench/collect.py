"""Collecting OGBench data on the user's machine with OGBench's own oracles.

``play``: plan oracle, noise 0.1, smoothing 0.5. ``noisy``: Markov oracle, noise 0.1, a random
action with probability 0.1. Episodes of 1001 steps. An episode is a pure function of (seed,
episode), so the data do not depend on the number of processes. Collected data are never passed
off as the published set: the file says who made it.
"""

import contextlib
import errno
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Generator
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from driftpolicy.data.files import write_npz
from driftpolicy.data.parts import drop_parts, kept_parts
from driftpolicy.envs.base import episode_seed
from driftpolicy.envs.parallel import Workers
from driftpolicy.errors import UserError
from driftpolicy.progress import format_bytes
from driftpolicy.tasks.ogbench.environment import ACTION_DIM, make_simulator, reset_simulator
from driftpolicy.tasks.ogbench.places import EPISODE_STEPS

_NOISE = 0.1
_NOISE_SMOOTHING = 0.5
_NOISE_SHAPE = np.array([1.0, 1.0, 1.0, 3.0, 10.0])  # position, yaw, gripper (noisy only)
_RANDOM_ACTION = 0.1
_LOSES_CUBE = ("scene",)  # scenes whose cube may go where it cannot be reached
_STACKING = {
    "cube-double": (0.0, 0.25),
    "cube-triple": (0.05, 0.35),
    "cube-quadruple": (0.1, 0.5),
}


class Collector:
    """One simulator in data-collection mode and the oracles that drive it."""

    def __init__(self, family: str, kind: str, seed: int):
        """Make the simulator of a scene (``cube-single``) for ``play`` or ``noisy`` data."""
        self._family = family
        self._kind = kind
        self._seed = seed
        self._simulator = make_simulator(
            f"{family}-v0",
            mode="data_collection",
            terminate_at_goal=False,
        )

    def collect(self, episode: int, steps: int = EPISODE_STEPS) -> dict[str, np.ndarray]:
        """Collect one episode of ``steps`` rows, in the published layout.

        As for the published set, an episode of ``scene`` that loses its cube is tried again.
        """
        attempt = 0
        while True:
            rows = self._attempt(episode_seed(self._seed, episode, attempt), steps)
            if self._family not in _LOSES_CUBE or cube_in_sight(rows["qpos"]):
                return rows
            attempt += 1

    def _attempt(self, seed: int, steps: int) -> dict[str, np.ndarray]:
        # OGBench's oracles draw from NumPy's global generator; this process does nothing else.
        np.random.seed(seed)  # noqa: NPY002
        simulator = self._simulator
        observation, info = reset_simulator(simulator, seed)
        oracles = self._oracles()
        low, high = _STACKING.get(self._family, (0.0, 0.0))
        stacking = float(np.random.uniform(low, high))  # noqa: NPY002
        noise = float(np.random.uniform(0.0, _NOISE))  # noqa: NPY002
        rows: dict[str, list[Any]] = {}
        oracle = self._next_target(oracles, observation, info)
        for step in range(steps):
            action = self._action(oracle, observation, info, noise)
            following, _, _, _, next_info = simulator.step(action)
            row = {
                "observations": observation.astype(np.float32),
                "actions": action.astype(np.float32),
                "terminals": step == steps - 1,
                "qpos": info["qpos"].astype(np.float32),
                "qvel": info["qvel"].astype(np.float32),
            }
            if "button_states" in info:
                row["button_states"] = np.array(info["button_states"], np.int64)
            for name, value in row.items():
                rows.setdefault(name, []).append(value)
            observation, info = following, next_info
            if oracle.done:
                # The oracle sees the new target; the data stay what the step returned.
                options = {"p_stack": stacking} if "cube" in self._family else {}
                oracle = self._next_target(oracles, *simulator.set_new_target(**options))
        return {name: np.stack(values) for name, values in rows.items()}

    def _oracles(self) -> dict[str, Any]:
        """Make an oracle for each kind of thing this scene asks to move, fresh for an episode."""
        if self._kind == "play":
            from ogbench.manipspace.oracles.plan.button_plan import ButtonPlanOracle as Button
            from ogbench.manipspace.oracles.plan.cube_plan import CubePlanOracle as Cube
            from ogbench.manipspace.oracles.plan.drawer_plan import DrawerPlanOracle as Drawer
            from ogbench.manipspace.oracles.plan.window_plan import WindowPlanOracle as Window

            options: dict[str, Any] = {"noise": _NOISE, "noise_smoothing": _NOISE_SMOOTHING}
        else:
            from ogbench.manipspace.oracles.markov.button_markov import ButtonMarkovOracle as Button
            from ogbench.manipspace.oracles.markov.cube_markov import CubeMarkovOracle as Cube
            from ogbench.manipspace.oracles.markov.drawer_markov import DrawerMarkovOracle as Drawer
            from ogbench.manipspace.oracles.markov.window_markov import WindowMarkovOracle as Window

            options = {}
        simulator = self._simulator
        closed = self._family.startswith("puzzle")
        return {
            "cube": Cube(env=simulator, **options),
            "button": Button(env=simulator, gripper_always_closed=closed, **options),
            "drawer": Drawer(env=simulator, **options),
            "window": Window(env=simulator, **options),
        }

    @staticmethod
    def _next_target(oracles: dict[str, Any], observation: np.ndarray, info: dict) -> Any:
        oracle = oracles[info["privileged/target_task"]]
        oracle.reset(observation, info)
        return oracle

    def _action(self, oracle: Any, observation: np.ndarray, info: dict, noise: float) -> np.ndarray:
        random = np.random  # the global generator, seeded for this episode
        if self._kind == "noisy" and random.uniform() < _RANDOM_ACTION:
            return random.uniform(-1.0, 1.0, ACTION_DIM)
        action = np.array(oracle.select_action(observation, info))
        if self._kind == "noisy":
            action = action + noise * random.normal(size=ACTION_DIM) * _NOISE_SHAPE
        return np.clip(action, -1.0, 1.0)


def cube_in_sight(qpos: Float32[np.ndarray, "rows qpos"]) -> bool:
    """Return whether the cube of ``scene`` stays on the table or in the drawer.

    Left of y = -0.3 m there is the drawer only, with its floor at z between 0.06 and 0.08 m.
    """
    y, z = qpos[:, 15], qpos[:, 16]
    off_right = y >= 0.29
    off_left = (y <= -0.3) & ((z < 0.06) | (z > 0.08))
    return not bool((off_right | off_left).any())


def _require_room(path: Path, size: int) -> None:
    free = shutil.disk_usage(path.parent).free
    if free < size:
        raise UserError(
            f"{path} and its parts need {format_bytes(size)}, the disk has room for "
            f"{format_bytes(free)}"
        )


def collect(
    family: str,
    kind: str,
    path: Path,
    *,
    episodes: int,
    seed: int,
    processes: int,
    episode_steps: int = EPISODE_STEPS,
) -> Generator[int, None, None]:
    """Collect ``episodes`` episodes into the file ``path``, atomically; interrupted, go on.

    Yields:
        The number of episodes done so far.

    Raises:
        UserError: for an unknown kind, a number out of range, or a full disk.
    """
    if kind not in ("play", "noisy"):
        raise UserError(f"cannot collect {kind!r} data: only play and noisy")
    ranges = {
        "--episodes": (episodes, 1),
        "--episode-steps": (episode_steps, 2),
        "--processes": (processes, 1),
        "--seed": (seed, 0),
    }
    for flag, (value, least) in ranges.items():
        if value < least:
            raise UserError(f"{flag} must be at least {least}, not {value}")
    try:  # now, not after an hour
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None

    def make(numbers: range) -> Generator[dict[str, np.ndarray], None, None]:
        with Workers(min(processes, len(numbers)), Collector, family, kind, seed) as workers:
            calls = [(episode, episode_steps) for episode in numbers]
            for number, part in zip(numbers, workers.map(Collector.collect, calls), strict=True):
                if number == numbers[0]:  # the file is written beside all of its parts
                    size = sum(array.nbytes for array in part.values())
                    _require_room(path, (len(numbers) + episodes) * size)
                yield part

    parts: list[dict[str, np.ndarray]] = []
    versions = {name: metadata.version(name) for name in ("ogbench", "mujoco", "numpy")}
    identity = [family, kind, seed, episode_steps, versions, metadata.version("driftpolicy")]
    with contextlib.closing(kept_parts(path, {"parts": identity}, episodes, make)) as coming:
        for part in coming:
            parts.append(part)
            yield len(parts)
    # Each episode's array goes as it is copied: no moment with all the data twice.
    names = list(parts[0])
    arrays = {name: np.concatenate([part.pop(name) for part in parts]) for name in names}
    description = {
        "origin": "collected",
        "collected_by": "driftpolicy " + metadata.version("driftpolicy"),
        "note": "not the published dataset",
        "scene": family,
        "kind": kind,
        "oracle": "OGBench plan oracle" if kind == "play" else "OGBench Markov oracle",
        "noise": _NOISE,
        "noise_smoothing": _NOISE_SMOOTHING if kind == "play" else None,
        "random_action_probability": _RANDOM_ACTION if kind == "noisy" else 0.0,
        "stacking_probability": _STACKING.get(family, (0.0, 0.0)),
        "episodes": episodes,
        "episode_steps": episode_steps,
        "seed": seed,
        "versions": versions,
        "machine": platform.machine(),
    }
    write_npz(path, {"metadata": np.array(json.dumps(description)), **arrays})
    drop_parts(path)
