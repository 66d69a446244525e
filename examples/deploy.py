"""Run an exported policy in a simulator as if it were a robot: ``python examples/deploy.py FILE``.

``FILE`` comes from ``dfp export`` of a run on one of OGBench's tasks. The simulator stands for the
robot: reading gives its last observation, sending an action makes one control step, in real time.
"""

import sys

from driftpolicy.deploy import ChunkRunner, Policy
from driftpolicy.envs.base import make_environment
from driftpolicy.envs.tasks import find_task

policy = Policy(sys.argv[1])
robot = make_environment(find_task(policy.metadata.task))
observation = robot.reset(seed=0)


def send(action):
    """One control step; the task's success ends the loop."""
    global observation
    observation, _, terminated, truncated, success = robot.step(action)
    if terminated or truncated:
        print("success" if success else "the time is over")
        runner.stop()


# Actions are steps of the arm: to send the last again would move it on, so a late chunk stops it.
runner = ChunkRunner(policy, lambda: observation, send, stop=lambda: print("stopped"), late="stop")
print(runner.run())
