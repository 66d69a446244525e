"""Milliseconds per gradient step at the quickstart's sizes, beside its bare products.

    uv run python benchmarks/quickstart.py [--rounds 7]

The compiled blocks of `dfp train` alone, on random data, without environments, how many cores they
use, and the matrix products of a step by themselves, all in turn in one run. A block's products
are shared between two threads in parts of well under a millisecond, so whatever else runs on a
machine of two cores, at however low a priority, keeps the second thread from helping: run it beside
`nice -n 19 sh -c 'while :; do :; done'` to see that.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from common import ACTION, floor, in_turn, median_ratio, synthetic, update_products

from driftpolicy.agents import Agent
from driftpolicy.config import resolve
from driftpolicy.data.replay import Replay
from driftpolicy.data.windows import WindowSpec
from driftpolicy.training.blocks import BlockInput, BlockSpec, block
from driftpolicy.training.restore import new_agent
from driftpolicy.training.seeding import RunKeys

OBSERVATION = 28  # cube-single's
OFFLINE, ONLINE = 25, 5  # steps per block


def blocks() -> dict[str, Callable[[], object]]:
    """A block of gradient steps in each phase."""
    config = resolve(None, "dfp", "quickstart", {})
    agent = new_agent(config, OBSERVATION, ACTION, RunKeys(0).init)
    keep = config.agent.terminal_windows == "keep"
    windows = WindowSpec(config.agent.chunk_length, config.agent.discount, keep)
    random = np.random.default_rng(0)
    replay = Replay(config.replay_capacity, OBSERVATION, ACTION, slack=ONLINE + 2)
    replay.start_episode(random.standard_normal(OBSERVATION, np.float32))
    for _ in range(2000):
        following = random.standard_normal(OBSERVATION, np.float32)
        replay.add(random.uniform(-1, 1, ACTION), -1.0, False, following)
    prior = synthetic(60_000, OBSERVATION).resident()
    key, first = RunKeys(0).update, np.int32(0)
    offline = BlockInput(replay=None, marks=None, key=key, first=first)
    marks = np.stack([replay.marks()] * ONLINE)
    online = BlockInput(replay=replay.mirror(), marks=marks, key=key, first=first)

    def make(agent: Agent, given: BlockInput, steps: int) -> Callable[[], object]:
        spec = BlockSpec(windows, config.batch_size, steps)
        return lambda: block(agent, prior, given, np.int32(steps), spec=spec)

    return {
        "offline": make(agent, offline, OFFLINE),
        "online": make(agent.start_online(), online, ONLINE),
    }


def measure(make: Callable[[], object], size: int, steps: int = 50) -> tuple[float, float]:
    """Milliseconds per step, and processor time over time."""
    processor, start = time.process_time(), time.perf_counter()
    for _ in range(steps // size):
        jax.block_until_ready(make())
    spent, processor = time.perf_counter() - start, time.process_time() - processor
    return 1e3 * spent / steps, processor / spent


def products() -> dict[str, Callable[[], object]]:
    """The products of a gradient step in each phase."""
    config = resolve(None, "dfp", "quickstart", {})
    return {
        phase: floor(update_products(config.agent, phase == "online", config.batch_size))
        for phase in ("offline", "online")
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    made, bare = blocks(), products()
    sizes = {"offline": OFFLINE, "online": ONLINE}
    measured = [partial(measure, made[phase], size) for phase, size in sizes.items()]
    measured += [partial(measure, bare[phase], 1) for phase in sizes]
    found = in_turn(rounds, *measured)
    print(f"{jnp.ones(1).device}, jax {jax.__version__}; medians and ranges of {rounds} rounds")
    times = [[each[0] for each in rows] for rows in found]
    for i, phase in enumerate(sizes):
        step, least = times[i], times[i + len(sizes)]
        used = statistics.median(cores for _, cores in found[i])
        print(
            f"{phase}: {statistics.median(step):.1f} ms ({min(step):.1f} to {max(step):.1f}), "
            f"{used:.1f} cores; its products {statistics.median(least):.1f} ms "
            f"({min(least):.1f} to {max(least):.1f}), ratio {median_ratio(step, least):.2f}"
        )
