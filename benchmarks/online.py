"""Milliseconds per online step of `dfp train` beside the dearer of its two halves (point 2).

    uv run python benchmarks/online.py [--rounds 5] [--small]

The halves, measured alone: a step of the real simulator, and a bare update of the online phase. The
loop is measured with the overlap and without it. That without it nothing differs from the plain
loop, bit for bit, is `tests/training/test_online.py`.
"""

import statistics
from typing import Any

import numpy as np
from common import (
    ACTION,
    TASK,
    Figure,
    arguments,
    bare_update,
    in_turn,
    median_ratio,
    milliseconds,
    milliseconds_per_step,
    report,
    synthetic,
    training_loop,
)

from driftpolicy.tasks.registry import find_task, make_environment


def environment_steps(count: int):
    """Milliseconds per step of the simulator, over so many."""
    environment = make_environment(find_task(TASK))
    environment.reset(0)
    random = np.random.default_rng(0)

    def measure() -> float:
        actions = iter(random.uniform(-1, 1, (count, ACTION)))
        return milliseconds(lambda: environment.step(next(actions)) and None, count)

    return measure


def measure(small: bool, rounds: int = 5) -> list[Figure]:
    settings: dict[str, Any] = {"offline_steps": 0, "online_steps": 10**9, "warmup_steps": 0}
    chunks = 20 if small else 3
    dataset = synthetic(100_000)
    with (
        training_loop(small, dataset, **settings) as overlapped,
        training_loop(small, dataset, overlap=False, **settings) as plain,
    ):
        update = bare_update(overlapped.config, online=True)
        ours, without, step, learn = in_turn(
            rounds,
            lambda: milliseconds_per_step(overlapped, chunks),
            lambda: milliseconds_per_step(plain, chunks),
            environment_steps(50),
            lambda: update(5 * chunks),
        )
    dearer = [max(pair) for pair in zip(step, learn, strict=True)]
    halves = f"max(step {statistics.median(step):.1f}, update {statistics.median(learn):.1f}) (ms)"
    figures = []
    for name, found, goal in (("overlapped", ours, True), ("one after the other", without, False)):
        ratio = median_ratio(found, dearer)
        figures.append(
            Figure(
                2,
                f"online step, {name} (ms)",
                statistics.median(found),
                halves,
                statistics.median(dearer),
                ratio,
                "<= 1.15" if goal else "-",
                ratio <= 1.15 if goal and not small else None,
            )
        )
    return figures


if __name__ == "__main__":
    options = arguments(__doc__, rounds=5)
    report(options, measure(options.small, options.rounds))
