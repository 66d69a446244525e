"""Milliseconds per step of the offline loop of `dfp train` beside the bare update (point 1).

    uv run python benchmarks/offline.py [--rounds 5] [--small]

The loop draws its batches from a million transitions in compiled blocks; the bare update sees one
batch again and again. Both in turn in one run, as many steps each.
"""

import statistics

from common import (
    Figure,
    arguments,
    bare_update,
    in_turn,
    median_ratio,
    milliseconds_per_step,
    report,
    synthetic,
    training_loop,
)

STEPS = 25  # a block


def measure(small: bool, rounds: int = 5) -> list[Figure]:
    blocks = 20 if small else 1
    with training_loop(small, synthetic(1_000_000)) as runs:
        update = bare_update(runs.config, online=False)
        ours, bare = in_turn(
            rounds, lambda: milliseconds_per_step(runs, blocks), lambda: update(blocks * STEPS)
        )
    ratio = median_ratio(ours, bare)
    return [
        Figure(
            1,
            "offline step of the loop (ms)",
            statistics.median(ours),
            "bare update (ms)",
            statistics.median(bare),
            ratio,
            "<= 1.05",
            None if small else ratio <= 1.05,
        )
    ]


if __name__ == "__main__":
    options = arguments(__doc__, rounds=5)
    report(options, measure(options.small, options.rounds))
