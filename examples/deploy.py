"""Run an exported policy in a simulator as if it were a robot: ``python examples/deploy.py FILE``.

``FILE`` comes from ``dfp export`` of a run on one of the benchmarks' tasks. The simulator stands
for the robot: reading gives its last observation, sending an action makes one control step, in real
time.
"""

import argparse

import numpy as np

from driftpolicy.deploy import ChunkRunner, Policy, Report
from driftpolicy.envs.base import Environment
from driftpolicy.errors import UserError
from driftpolicy.tasks.registry import find_task, make_environment


def drive(policy: Policy, robot: Environment, rate_hz: float | None) -> Report:
    """Run one episode; success or the end of its time ends the loop."""
    observation = robot.reset(seed=0)

    def send(action: np.ndarray) -> None:
        nonlocal observation
        observation, _, terminated, truncated, success = robot.step(action)
        if terminated or truncated:
            print("success" if success else "the time is over")
            runner.stop()

    # Actions are steps of the arm: to send the last again would move it on, so a late chunk stops.
    runner = ChunkRunner(
        policy,
        lambda: observation,
        send,
        stop=lambda: print("stopped"),
        late="stop",
        rate_hz=rate_hz,
    )
    return runner.run()


def run() -> None:
    """Read the command line and drive the robot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", help="an exported policy")
    parser.add_argument("--rate", type=float, help="steps per second [the policy's]")
    options = parser.parse_args()
    try:
        policy = Policy(options.file)
        task = find_task(policy.metadata.task)
        if task.custom is not None:
            raise UserError(f"{task.environment} is no benchmark's: see examples/own_robot.py")
        print(drive(policy, make_environment(task), options.rate))
    except UserError as error:
        parser.exit(2, f"deploy.py: {error}\n")


if __name__ == "__main__":
    run()
