"""A family of tasks in one file: a point in the plane that is pushed to the origin.

    import driftpolicy
    from examples.point_mass import Toy

    driftpolicy.register(Toy())
    driftpolicy.train("toy-reach", preset="small", collect_episodes=100)

An environment, and a benchmark object that says where its tasks and data come from. Inside the
package it is a folder under `src/driftpolicy/tasks/` and one line in `registry.py` there;
docs/extending.md goes through the file.
"""

import json
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from driftpolicy.data.files import checksums, read_npz, write_npz
from driftpolicy.envs.base import Step, episode_seed
from driftpolicy.envs.parallel import Workers
from driftpolicy.tasks.benchmark import (
    RENDER_SIZE,
    Benchmark,
    LoadedData,
    LoadOptions,
    Parts,
    Section,
    first_file,
)
from driftpolicy.tasks.task import Task

LIMIT = 20  # steps of an episode
NEAR = 0.2
PUSH = 0.25  # the most that an action moves the point


class PointMass:
    """A point in the plane; each step costs 1 until it is near the origin."""

    observation_dim, action_dim, control_rate = 2, 2, 10.0

    def __init__(self):
        """Begin nowhere in particular."""
        self.place, self.steps = np.zeros(2), 0

    def reset(self, seed: int) -> np.ndarray:
        """Start the episode of this seed."""
        self.place, self.steps = np.random.default_rng(seed).uniform(-1, 1, 2), 0
        return self.place.astype(np.float32)

    def step(self, action: np.ndarray) -> Step:
        """Push the point."""
        self.place = self.place + PUSH * np.clip(action, -1, 1)
        self.steps += 1
        success = bool(np.linalg.norm(self.place) < NEAR)
        return Step(
            observation=self.place.astype(np.float32),
            reward=float(success) - 1.0,
            terminated=success,
            truncated=self.steps >= LIMIT and not success,
            success=success,
        )

    def goal(self) -> str:
        """Say what is to be done."""
        return "to the middle"

    def render(self) -> np.ndarray:
        """Draw nothing."""
        return np.zeros((32, 32, 3), np.uint8)


class Pusher:
    """Pushes the point home; lives in a worker process."""

    def __init__(self, seed: int):
        """Push in the episodes of this seed."""
        self.seed, self.environment = seed, PointMass()

    def episode(self, number: int) -> dict[str, np.ndarray]:
        """Return the rows of an episode, the last one with its final observation."""
        rng = np.random.default_rng((self.seed, number))
        rows: dict[str, list[Any]] = {"observations": [], "actions": [], "rewards": []}
        observation, ended = self.environment.reset(episode_seed(self.seed, number)), False
        while not ended:
            action = np.clip(-observation / PUSH + rng.normal(0, 0.3, 2), -1, 1)
            step = self.environment.step(action)
            for name, value in zip(rows, (observation, action, step.reward), strict=True):
                rows[name].append(value)
            observation, ended = step.observation, step.terminated or step.truncated
        zeros = {"observations": observation, "actions": np.zeros(2), "rewards": 0.0}
        return {name: np.array([*rows[name], zeros[name]], np.float32) for name in rows}


class Toy(Benchmark):
    """One task, whose data are collected."""

    name = "toy"
    control_rate = 10.0
    collected_episodes = 8

    def tasks(self) -> Mapping[str, Task]:
        """Return the only task."""
        task = Task(
            name="toy-reach",
            benchmark=self.name,
            domain="toy",
            family="reach",
            kind="scripted",
            environment="reach",
            dataset="toy-reach",
            heading=("toy", "reach"),
        )
        return {task.name: task}

    def make_environment(self, task: Task, *, render_size: int = RENDER_SIZE) -> PointMass:
        """Make the environment."""
        return PointMass()

    def observation_parts(self, task: Task, dim: int) -> Parts:
        """Return the parts of an observation."""
        return [["place", 2]]

    def find_data(self, task: Task, data: str | None = None) -> Path | None:
        """Find the file that was collected, unless another is named."""
        return first_file(data, [self.collected_path(task)])

    def describe_data(self, path: Path) -> dict[str, Any]:
        """Describe who made a file; ``crc32`` identifies its contents."""
        crc32 = json.dumps(checksums(path))
        return {"origin": "collected", "path": str(path), "crc32": crc32}

    def load_data(self, task: Task, path: Path, options: LoadOptions) -> LoadedData:
        """Read a file as transitions."""
        from driftpolicy.data.transitions import Dataset  # imports JAX

        arrays = read_npz(path)
        dataset = Dataset(
            observations=arrays["observations"],
            actions=arrays["actions"],
            rewards=arrays["rewards"],
            masks=(arrays["rewards"] < 0).astype(np.float32),
            last=arrays["last"],
        )
        return LoadedData(prior=dataset, description=self.describe_data(path))

    def holds(self, path: Path) -> bool:
        """Return whether a file is one of ours, at a glance."""
        return path.name.startswith("toy-") and path.suffix == ".npz"

    def inspect(
        self,
        source: str,
        task: Task | None = None,
        *,
        columns: tuple[str, ...] = (),
        skip_broken: bool = False,
    ) -> list[Section]:
        """Say what is in a file, of which no episode is ever broken."""
        self.refuse_columns(source, columns)
        arrays = read_npz(Path(source))
        return [{"file": source, "episodes": str(arrays["last"].sum())}]

    def collected_path(self, task: Task) -> Path:
        """Return where collected data are kept."""
        return Path("data") / f"{task.dataset}-collected.npz"

    def collect(
        self,
        task: Task,
        path: Path,
        *,
        episodes: int,
        seed: int,
        processes: int,
        episode_steps: int | None = None,
    ) -> Generator[int, None, None]:
        """Collect episodes in worker processes into one file."""
        parts: list[dict[str, np.ndarray]] = []
        with Workers(min(processes, episodes), Pusher, seed) as workers:
            for part in workers.map(Pusher.episode, [(number,) for number in range(episodes)]):
                parts.append(part)
                yield len(parts)
        arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        ends = np.cumsum([len(part["rewards"]) for part in parts]) - 1
        write_npz(path, arrays | {"last": np.isin(np.arange(len(arrays["rewards"])), ends)})
