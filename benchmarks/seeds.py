"""Five seeds trained side by side beside one alone (point 5).

    uv run python benchmarks/seeds.py [--rounds 3] [--small]

On a CPU five together may cost no more than five alone (measured here one after the other, so five
times one); on an accelerator, where they are one program, no more than twice one.
"""

import contextlib
import statistics

import jax
from common import (
    Figure,
    arguments,
    in_turn,
    median_ratio,
    milliseconds_per_step,
    report,
    synthetic,
    training_loop,
)

SEEDS = 5


def measure(small: bool, rounds: int = 3) -> list[Figure]:
    cpu = jax.default_backend() == "cpu"
    times, limit = (SEEDS, 1.0) if cpu else (1, 2.0)
    dataset = synthetic(100_000)
    steps = 25 if small else 5
    with contextlib.ExitStack() as stack:
        loops = [
            training_loop(small, dataset, seeds, log_every=steps)
            for seeds in (range(SEEDS), *([seed] for seed in range(times)))
        ]
        together, *alone = [stack.enter_context(loop) for loop in loops]

        def one_after_the_other() -> float:
            return sum(milliseconds_per_step(loop) for loop in alone)

        ours, single = in_turn(rounds, lambda: milliseconds_per_step(together), one_after_the_other)
    ratio = median_ratio(ours, single)
    return [
        Figure(
            5,
            f"step of {SEEDS} seeds together (ms)",
            statistics.median(ours),
            f"{times} alone (ms)",
            statistics.median(single),
            ratio,
            f"<= {limit:g}",
            None if small else ratio <= limit + 0.02,  # the spread of the rounds
        )
    ]


if __name__ == "__main__":
    options = arguments(__doc__, rounds=3)
    report(options, measure(options.small, options.rounds))
