"""Milliseconds per decision on one core beside its floor, and what many of them leave (point 4).

    uv run python benchmarks/floor.py [--rounds 9] [--decisions 100000] [--small]

A decision is what the loops call: from an observation in NumPy to a chunk in NumPy, best of 16 and
one sample, with its share of drawing noise for 64. The floor is its bare matrix products in one
compiled program. Then many decisions in a row: the programs compiled and the growth of the
process's memory.
"""

import os
import statistics

import jax
import numpy as np
from common import (
    ACTION,
    OBSERVATION,
    SMALL,
    TASK,
    Figure,
    arguments,
    decision_products,
    floor,
    in_turn,
    median_ratio,
    milliseconds,
    report,
)
from memory import resident

from driftpolicy.config import resolve
from driftpolicy.training.deciding import Decider
from driftpolicy.training.restore import new_agent
from driftpolicy.training.seeding import RunKeys


def measure(small: bool, rounds: int = 9, decisions: int = 100_000) -> list[Figure]:
    figures = []
    observation = np.random.default_rng(0).standard_normal(OBSERVATION).astype(np.float32)
    key = jax.random.key(0)
    for best_of in (16, 1):
        config = resolve(TASK, "dfp", "paper", {"best_of": best_of} | (SMALL if small else {}))
        decide = Decider(new_agent(config, OBSERVATION, ACTION, RunKeys(0).init).decision_rule)
        noise = decide.noise(key)
        products = floor(decision_products(config.agent, 1))
        ours, bare = in_turn(
            rounds,
            lambda d=decide, n=noise: milliseconds(lambda: d(observation, next(n)), 200),
            lambda p=products: milliseconds(p, 200),
        )
        ratio = median_ratio(ours, bare)
        figures.append(
            Figure(
                4,
                f"decision, best of {best_of} (ms)",
                statistics.median(ours),
                "its products (ms)",
                statistics.median(bare),
                ratio,
                "<= 1.3",
                None if small else ratio <= 1.3,
            )
        )
    figures.append(_leftovers(decide, observation, decisions))
    return figures


def _leftovers(decide: Decider, observation: np.ndarray, decisions: int) -> Figure:
    """Memory after the first tenth and after all of them."""
    noise = decide.noise(jax.random.key(0))
    compiled = decide.programs()
    for _ in range(decisions // 10):
        decide(observation, next(noise))
    before = resident()["anonymous"]
    for _ in range(decisions // 10, decisions):
        decide(observation, next(noise))
    grown = resident()["anonymous"] - before
    more = decide.programs() - compiled
    return Figure(
        4,
        f"memory grown over {decisions:,} decisions (MB), {more} more programs compiled",
        grown / 1e6,
        "before (MB)",
        before / 1e6,
        grown / before,
        "< 1 MB, 0 programs",
        grown < 1e6 and more == 0,
    )


if __name__ == "__main__":
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # before JAX starts its threads
    options = arguments(__doc__, rounds=9, decisions=100_000)
    report(options, measure(options.small, options.rounds, options.decisions))
