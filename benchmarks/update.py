"""Milliseconds per DFP update beside its floor: the bare matrix products of the same update.

    uv run python benchmarks/update.py [--rounds 7]

Both are measured in turn in one run, at the paper's sizes (batch 256, 4 layers of 512, N = N' = 16,
Ngen = 8, K = 4, cube-double's dimensions), and the ratio is the median over the rounds. The floor
multiplies what the update multiplies, each product alone: no activations, no layer norm, no losses,
no optimiser, and the first layers split into observation and noise as the networks split them.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from driftpolicy.agents import DFP, DFPConfig
from driftpolicy.batch import Batch

OBSERVATION, ACTION, BATCH = 37, 5, 256


def random_batch(config: DFPConfig) -> Batch:
    draw = np.random.default_rng(0).standard_normal
    length = config.chunk_length
    return Batch(
        jnp.asarray(draw((BATCH, OBSERVATION)), jnp.float32),
        jnp.asarray(np.tanh(draw((BATCH, length, ACTION))), jnp.float32),
        jnp.asarray(draw(BATCH), jnp.float32),
        jnp.ones(BATCH),
        jnp.asarray(draw((BATCH, OBSERVATION)), jnp.float32),
        jnp.ones((BATCH, length)),
    )


def forward(rows: int, hidden: tuple[int, ...], chunk: int, outputs: int) -> list[tuple]:
    """Shapes (m, k, n) of a pass over ``rows`` noises or chunks at ``BATCH`` observations."""
    layers = [(rows, a, b) for a, b in zip(hidden, (*hidden[1:], outputs), strict=True)]
    return [(BATCH, OBSERVATION, hidden[0]), (rows, chunk, hidden[0]), *layers]


def backward(rows: int, hidden: tuple[int, ...], chunk: int, outputs: int) -> list[tuple]:
    """Weight gradients of every layer, input gradients of all but the first."""
    weights = [(k, m, n) for m, k, n in forward(rows, hidden, chunk, outputs)]
    inputs = [(m, n, k) for m, k, n in forward(rows, hidden, chunk, outputs)[2:]]
    return weights + inputs


def products(config: DFPConfig, online: bool) -> list[tuple]:
    chunk = config.chunk_length * ACTION
    actor = (config.actor_hidden, chunk, chunk)
    critic = (config.critic_hidden, chunk, 1)
    members = config.critics
    decided = forward(BATCH * config.best_of, *actor)
    decided += members * forward(BATCH * config.best_of, *critic)
    backed_up = members * forward(BATCH, *critic)
    critic_loss = members * (forward(BATCH, *critic) + backward(BATCH, *critic))
    rows = BATCH * config.generated
    actor_loss = forward(rows, *actor) + backward(rows, *actor)
    total = decided + backed_up + critic_loss + actor_loss
    if online:
        rows = BATCH * config.candidates
        total += forward(rows, *actor) + members * forward(rows, *critic)
    return total


def floor(shapes: list[tuple]) -> Callable[[], object]:
    draw = np.random.default_rng(0).standard_normal
    pairs = [
        (jnp.asarray(draw((m, k)), jnp.float32), jnp.asarray(draw((k, n)), jnp.float32))
        for m, k, n in shapes
    ]
    multiply = jax.jit(lambda pairs: [a @ b for a, b in pairs])
    return lambda: multiply(pairs)


def milliseconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    jax.block_until_ready(function())
    return 1e3 * (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    config = DFPConfig()
    batch, key = random_batch(config), jax.random.key(0)
    update = jax.jit(lambda agent, batch, key: agent.update(batch, key))
    agent = DFP.create(config, OBSERVATION, ACTION, key)
    print(f"{jax.devices()[0].device_kind}, jax {jax.__version__}, {rounds} rounds")
    print(f"{'phase':8} {'GFLOP':>6} {'update ms':>10} {'floor ms':>9} {'ratio':>6}  ratios")
    for phase in ("offline", "online"):
        if phase == "online":
            agent = agent.start_online()
        shapes = products(config, phase == "online")
        bare = floor(shapes)

        def step(agent: DFP = agent) -> object:
            return update(agent, batch, key)

        jax.block_until_ready((step(), bare()))
        pairs = []
        for _ in range(rounds):
            times = [(milliseconds(step), milliseconds(bare)) for _ in range(3)]
            pairs.append(tuple(map(statistics.median, zip(*times, strict=True))))
        ratios = sorted(a / b for a, b in pairs)
        flop = sum(2 * m * k * n for m, k, n in shapes) / 1e9
        print(
            f"{phase:8} {flop:6.1f} {statistics.median(a for a, _ in pairs):10.1f} "
            f"{statistics.median(b for _, b in pairs):9.1f} {statistics.median(ratios):6.2f}  "
            + " ".join(f"{ratio:.2f}" for ratio in ratios)
        )


if __name__ == "__main__":
    main()
