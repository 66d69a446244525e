"""A control loop at 50 Hz beside a busy core: deadlines missed, jitter.

    uv run --extra export python benchmarks/control_loop.py [--seconds 60] [--rate 50]
        [--lookahead SECONDS]

On a machine that does more than that, give the loop a priority, as on a robot: ``nice -n -20``.

DFP at the paper's sizes (cube-double's dimensions, networks of 4 x 512, best of 16, chunks of 5),
freshly initialised and exported, runs in a :class:`driftpolicy.deploy.ChunkRunner` with the real
clock, while another process keeps one core busy.
"""

import argparse
import math
import multiprocessing
import os
from multiprocessing.connection import Connection

import numpy as np

from driftpolicy.deploy import ChunkRunner, Policy


def busy() -> None:
    """Never rests; of ordinary priority, whatever the loop's is."""
    os.setpriority(os.PRIO_PROCESS, 0, max(0, os.getpriority(os.PRIO_PROCESS, 0)))
    while True:
        sum(range(100_000))


def export(pipe: Connection) -> None:
    """In a process of its own: a robot's has no JAX."""
    import jax
    from decision import ACTION, OBSERVATION, exported  # the benchmark beside this one

    from driftpolicy.agents import DFP, DFPConfig

    pipe.send_bytes(exported(DFP.create(DFPConfig(), OBSERVATION, ACTION, jax.random.key(0))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=50.0)
    parser.add_argument("--lookahead", type=float, help="seconds [as measured, and a margin]")
    options = parser.parse_args()
    if not (0 < options.seconds < math.inf and 0 < options.rate < math.inf):
        parser.error("--seconds and --rate must be finite and above 0")
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe()
    exporter = context.Process(target=export, args=(sender,))
    exporter.start()
    policy = Policy(receiver.recv_bytes())
    exporter.join()
    observation = np.zeros(policy.metadata.observation_dim, np.float32)
    load = context.Process(target=busy, daemon=True)
    load.start()
    runner = ChunkRunner(
        policy,
        lambda: observation.copy(),
        lambda action: None,
        lambda: None,
        rate_hz=options.rate,
        lookahead_s=options.lookahead,
    )
    try:
        print(runner.run(round(options.seconds * options.rate)))
    finally:
        load.terminate()


if __name__ == "__main__":
    main()
