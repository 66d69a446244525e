"""Seconds for 50 evaluation episodes in several processes beside one (point 6).

    uv run python benchmarks/evaluation.py [--episodes 50] [--small]

A fresh agent of the paper's sizes on cube-single: every episode runs its 200 steps. The episodes
are the same for any number of processes.
"""

import os
import time

import jax
from common import SMALL, Figure, arguments, report

from driftpolicy.config import resolve
from driftpolicy.tasks.registry import find_task
from driftpolicy.training.evaluation import evaluate, evaluation_workers
from driftpolicy.training.restore import new_agent
from driftpolicy.training.seeding import RunKeys

TASK = "cube-single-play-singletask-task1-v0"
GOALS = {2: 1.7, 16: 10.0}


def measure(small: bool, episodes: int = 50) -> list[Figure]:
    config = resolve(TASK, "dfp", "paper", SMALL if small else {})
    rule = new_agent(config, 28, 5, RunKeys(0).init).decision_rule
    cores = len(os.sched_getaffinity(0))
    seconds, outcomes = {}, []
    for processes in (1, *(count for count in GOALS if count <= cores)):
        with evaluation_workers(find_task(TASK), processes) as workers:
            evaluate(rule, workers, seed=1, episodes=processes, key=jax.random.key(1))  # starts
            begin = time.perf_counter()
            outcomes.append(
                evaluate(rule, workers, seed=0, episodes=episodes, key=jax.random.key(0))
            )
            seconds[processes] = time.perf_counter() - begin
        assert outcomes[-1] == outcomes[0]
    alone = seconds.pop(1)
    return [
        Figure(
            6,
            f"{episodes} episodes in {processes} processes (s)",
            taken,
            "in one (s)",
            alone,
            alone / taken,
            f">= {GOALS[processes]:g} times faster",
            alone / taken >= GOALS[processes],
        )
        for processes, taken in seconds.items()
    ]


if __name__ == "__main__":
    options = arguments(__doc__, episodes=50)
    report(options, measure(options.small, options.episodes))
