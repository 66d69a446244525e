"""From demonstrations to a policy on your robot: record, look, train, evaluate, export.

The robot is Gymnasium's two-link arm, Reacher-v5, which comes with ``gymnasium[mujoco]``. It stands
for any robot: all that the package knows of it is in this file. Run from the top of the checkout:

    uv run python examples/own_robot.py            # ten minutes or less on one CPU core
    uv run python examples/own_robot.py --quick    # the same steps, too few to learn anything

docs/robot.md explains each step.
"""

import argparse
import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

import driftpolicy
from driftpolicy.tasks.custom import plain

UPPER, LOWER = 0.1, 0.11  # metres, the arm's links
NEAR = 0.02  # metres between fingertip and target that count as a success
RATE = 50  # Hz

TRAINING: dict[str, Any] = {
    **{"preset": "small", "generated": 8, "temperatures": (0.05, 0.5), "best_of": 4},
    **{"offline_steps": 6000, "online_steps": 4000, "eval_every": 2000},
}
QUICK: dict[str, Any] = {
    **{"offline_steps": 50, "online_steps": 50, "warmup_steps": 20, "video": False},
    **{"batch_size": 16, "eval_every": 50, "eval_episodes": 2, "processes": 1},
    **{"actor_hidden": (16,), "critic_hidden": (16,), "generated": 2, "candidates": 4},
    **{"positives": 2, "log_every": 25, "best_of": 2, "overlap": False},
}


# 1. The environment says when it succeeds.


class Reach(gymnasium.Wrapper):
    """Reacher-v5 with a success: the fingertip is at the target.

    The observation's last two numbers lead from the one to the other.
    """

    def step(self, action: Any) -> tuple:
        """Step the arm, and put ``success`` into ``info``."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        info["success"] = bool(np.hypot(*observation[8:10]) < NEAR)
        return observation, reward, terminated, truncated, info


def make_reach(render_mode: str | None = None) -> gymnasium.Env:
    """Make the environment of the task ``gymnasium:examples/own_robot.py:make_reach``."""
    return Reach(gymnasium.make("Reacher-v5", render_mode=render_mode))


# 2. Demonstrations: somebody who can do it, and a file.


def demonstrator(observation: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return torques in [-1, 1] that turn both joints towards the target.

    On a robot this is a person with a joystick. The noise shows the policy how to return
    to the straight way.
    """
    cosines, sines, target, speeds = (observation[i : i + 2] for i in (0, 2, 4, 6))
    angles = np.arctan2(sines, cosines)
    reach = np.hypot(*target)
    cosine = (reach**2 - UPPER**2 - LOWER**2) / (2 * UPPER * LOWER)
    elbow = np.arccos(np.clip(cosine, -1, 1)) * (1 if angles[1] >= 0 else -1)
    shoulder = np.arctan2(target[1], target[0]) - np.arctan2(
        LOWER * np.sin(elbow), UPPER + LOWER * np.cos(elbow)
    )
    turn = np.array([shoulder, elbow]) - angles
    turn[0] = (turn[0] + np.pi) % (2 * np.pi) - np.pi
    torques = 0.7 * turn - 0.1 * speeds + rng.normal(scale=0.1, size=2)
    return np.clip(torques, -1, 1)


def record(path: Path, episodes: int, seed: int = 0) -> None:
    """Record demonstrations in the plain layout, each until its success or its time limit."""
    environment = make_reach()
    recorded = []
    for episode in range(episodes):
        rng = np.random.default_rng((seed, episode))
        observation, _ = environment.reset(seed=int(rng.integers(2**31)))
        parts: dict[str, list] = {"observations": [observation], "actions": [], "success": []}
        ended = False
        while not ended:
            action = demonstrator(observation, rng)
            observation, _, terminated, truncated, info = environment.step(action)
            parts["observations"].append(observation)
            parts["actions"].append(action)
            parts["success"].append(info["success"])
            ended = info["success"] or terminated or truncated
        recorded.append(parts)
    plain.write(path, recorded, control_rate=RATE)
    succeeded = sum(parts["success"][-1] for parts in recorded)
    print(f"{path}: {episodes} demonstrations at {RATE} Hz, {succeeded} successful")


# 3. Drive the robot: a policy is a function from an observation to the next actions.


def drive(name: str, decide: Callable[[np.ndarray], np.ndarray], episodes: int) -> None:
    """Execute chunk after chunk; on hardware ``driftpolicy.deploy.ChunkRunner`` keeps the time."""
    environment = make_reach()
    succeeded = 0
    for episode in range(episodes):
        observation, _ = environment.reset(seed=1_000_000 + episode)
        ended = success = False
        while not ended:
            for action in decide(observation):
                observation, _, terminated, truncated, info = environment.step(action)
                success = info["success"]
                ended = success or terminated or truncated
                if ended:
                    break
        succeeded += success
    print(f"{name}: {succeeded} of {episodes} episodes successful")


def run() -> None:
    """Do all of it, from recording to driving."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few steps of everything")
    parser.add_argument("--out", type=Path, default=Path("runs/own_robot"), help="a folder")
    parser.add_argument("--no-export", action="store_true", help="leave the last step out")
    options = parser.parse_args()
    data, model = options.out / "reach.npz", options.out / "policy.onnx"
    episodes = 2 if options.quick else 100

    record(data, episodes=20 if options.quick else 300)

    # Training looks at the data first, and says what is wrong with them.
    trained = driftpolicy.train(
        f"gymnasium:{os.path.relpath(__file__)}:make_reach",
        data=str(data),
        run=options.out / "run",
        reward="success",
        normalise_observations=True,
        **TRAINING | (QUICK if options.quick else {}),
    )
    for each in trained.evaluations:
        print(f"step {each.step}: success {100 * each.success:.0f}%")

    policy, seeds = driftpolicy.load_policy(trained.path), itertools.count()
    drive(str(trained.path), lambda observation: policy.act(observation, next(seeds)), episodes)

    # The exported file needs NumPy and onnxruntime, no JAX.
    if not options.no_export:
        from driftpolicy.deploy import Policy
        from driftpolicy.export.exporting import export_policy

        export_policy(trained.path, model)
        exported, rng = Policy(model), np.random.default_rng(0)
        drive(str(model), lambda seen: exported.act(seen.astype(np.float32), rng), episodes)


if __name__ == "__main__":
    run()
