"""Milliseconds per DFP update beside its floor: the bare matrix products of the same update.

    uv run python benchmarks/update.py [--rounds 7] [--small]

Both are measured in turn in one run, at the paper's sizes (batch 256, 4 layers of 512, N = N' = 16,
Ngen = 8, K = 4, cube-double's dimensions), and the ratio is the median over the rounds. The floor
multiplies what the update multiplies, each product alone: no activations, no layer norm, no losses,
no optimiser, and the first layers split into observation and noise as the networks split them.
"""

import statistics

from common import (
    SMALL,
    TASK,
    Figure,
    arguments,
    bare_update,
    floor,
    in_turn,
    median_ratio,
    milliseconds,
    report,
    update_products,
)

from driftpolicy.config import resolve


def measure(small: bool, rounds: int = 7) -> list[Figure]:
    config = resolve(TASK, "dfp", "paper", SMALL if small else {})
    figures = []
    for phase in ("offline", "online"):
        update = bare_update(config, phase == "online")
        shapes = update_products(config.agent, phase == "online", config.batch_size)
        products = floor(shapes)
        ours, bare = in_turn(rounds, lambda u=update: u(3), lambda p=products: milliseconds(p, 3))
        ratio = median_ratio(ours, bare)
        flop = sum(2 * m * k * n for m, k, n in shapes) / 1e9
        figures.append(
            Figure(
                3,
                f"update {phase} (ms)",
                statistics.median(ours),
                f"its products, {flop:.1f} GFLOP (ms)",
                statistics.median(bare),
                ratio,
                "<= 1.3",
                None if small else ratio <= 1.3,
            )
        )
    return figures


if __name__ == "__main__":
    options = arguments(__doc__, rounds=7)
    report(options, measure(options.small, options.rounds))
