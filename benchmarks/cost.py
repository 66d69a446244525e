"""What each method costs at the paper's sizes, beside the published figures.

    uv run python benchmarks/cost.py [--rounds 5] [--csv FILE]

One process per method (so that peak memory is its own), measured in turn in one run, medians over
the rounds, on cube-double's dimensions with batch 256. A decision is one call of `act` from an
observation in NumPy to a chunk in NumPy. An online step is one environment step (measured here, in
the real simulator, the same for all) + one update of the online phase + 1/H of a decision. Peak
memory is the process's on a CPU, of which JAX alone takes the amount in the last row, and the
device's where there is one. The published columns are from other machines (an RTX 3090 for online
steps, a CPU for evaluation). The CSV file is what `dfp benchmark page --cost` reads.
"""

import argparse
import csv
import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

TASK = "cube-double-play-singletask-task2-v0"
OBSERVATION, ACTION, BATCH = 37, 5, 256


def milliseconds(function: Callable[[], object], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        function()
    return 1e3 * (time.perf_counter() - start) / repeats


def peak_memory() -> float:
    """In MB."""
    import jax

    statistics = jax.devices()[0].memory_stats() or {}
    resident = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return statistics.get("peak_bytes_in_use", resident) / 1e6


def measure(method: str, pipe: Connection) -> None:
    """The process of a method: sends (update ms, decision ms) at each request, then its memory."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from driftpolicy.agents import METHODS
    from driftpolicy.batch import Batch

    draw = np.random.default_rng(0).standard_normal
    if method == "none":
        jax.block_until_ready(jax.jit(jnp.sum)(jnp.ones(BATCH)))
        pipe.send(peak_memory())
        return
    agent_class, config_class = METHODS[method]
    config = config_class()
    batch = Batch(
        jnp.asarray(draw((BATCH, OBSERVATION)), jnp.float32),
        jnp.asarray(np.tanh(draw((BATCH, config.chunk_length, ACTION))), jnp.float32),
        jnp.asarray(draw(BATCH), jnp.float32),
        jnp.ones(BATCH),
        jnp.asarray(draw((BATCH, OBSERVATION)), jnp.float32),
        jnp.ones((BATCH, config.chunk_length)),
    )
    key = jax.random.key(0)
    agent = agent_class.create(config, OBSERVATION, ACTION, key).start_online()
    compiled_update = jax.jit(lambda agent, batch, key: agent.update(batch, key))
    rule = agent.decision_rule
    compiled_act = jax.jit(lambda rule, observation, key: rule(observation, rule.draw_noise(key)))
    observation = np.asarray(draw(OBSERVATION), np.float32)

    def update() -> None:
        jax.block_until_ready(compiled_update(agent, batch, key))

    def act() -> None:
        np.asarray(compiled_act(rule, observation, key))

    update()
    act()
    pipe.send(config.chunk_length)
    while pipe.recv():
        pipe.send((milliseconds(update, 3), milliseconds(act, 50)))
    pipe.send(peak_memory())


def environment_steps() -> Callable[[], float]:
    """Milliseconds per environment step, over 50 steps of one episode."""
    import numpy as np

    from driftpolicy.tasks.registry import find_task, make_environment

    environment = make_environment(find_task(TASK))
    environment.reset(0)
    actions = iter(np.random.default_rng(0).uniform(-1, 1, (10_000, ACTION)))
    return lambda: milliseconds(lambda: environment.step(next(actions)), 50)


def main() -> None:
    from driftpolicy.report.published import published_cost  # not in the processes measured

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--csv", type=Path, help="write our columns there, too")
    options = parser.parse_args()
    rounds = options.rounds
    published = published_cost()
    context = multiprocessing.get_context("spawn")
    pipes, lengths = {}, {}
    for method in published:
        pipes[method], other = context.Pipe()
        context.Process(target=measure, args=(method, other), daemon=True).start()
        lengths[method] = pipes[method].recv()
        print(f"compiled {method}", file=sys.stderr)
    environment = environment_steps()
    steps: list[float] = []
    times: dict[str, list[tuple[float, float]]] = {method: [] for method in pipes}
    for _ in range(rounds):
        steps.append(environment())
        for method, pipe in pipes.items():
            pipe.send(True)
            times[method].append(pipe.recv())
    step = statistics.median(steps)
    print(f"environment step {step:.1f} ms; medians of {rounds} rounds\n")
    print(
        "| method | update (ms) | decision (ms) | online step (ms) | peak memory (MB) "
        "| published: online step (ms) | published: evaluation (ms) |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    table = [["method", "update_ms", "decision_ms", "online_step_ms", "peak_memory_mb"]]
    for method, pipe in pipes.items():
        pipe.send(False)
        update, act = (statistics.median(column) for column in zip(*times[method], strict=True))
        online = step + update + act / lengths[method]
        row = published[method]
        table.append([method, f"{update:.0f}", f"{act:.2f}", f"{online:.0f}", f"{pipe.recv():.0f}"])
        print(f"| {' | '.join(table[-1])} | {row['online_step_ms']} | {row['evaluation_ms']} |")
    pipe, other = context.Pipe()
    context.Process(target=measure, args=("none", other), daemon=True).start()
    print(f"| JAX alone | | | | {pipe.recv():.0f} | | |")
    if options.csv:
        with open(options.csv, "w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(table)


if __name__ == "__main__":
    main()
