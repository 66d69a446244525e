"""How long one decision takes: every method, one sample and best of N, JAX and ONNX.

    uv run --extra export python benchmarks/decision.py [--rounds 10] [--methods dfp fql]

On one core, at the paper's sizes (cube-double's dimensions, networks of 4 x 512), from an
observation in NumPy to a chunk in NumPy, its noise drawn within it. Both are measured in turn
in one run, blocks of 100 decisions in each round; median and 99th percentile over all. The
published column is the authors' evaluation time, from another machine's CPU.
"""

import argparse
import os
import time
from collections.abc import Callable

import jax
import numpy as np
import onnxruntime

from driftpolicy.agents import METHODS, Agent
from driftpolicy.deploy import Metadata, Policy
from driftpolicy.export.decision import Decision, build_model, describe
from driftpolicy.report.published import published_cost

OBSERVATION, ACTION, BLOCK = 37, 5, 100


def exported(agent: Agent) -> bytes:
    """The model of an agent that was never trained."""
    told = Metadata(
        task="cube-double",
        method="",
        observation_dim=OBSERVATION,
        observation_parts=None,
        observation_low=None,
        observation_high=None,
        action_dim=ACTION,
        action_low=[-1.0] * ACTION,
        action_high=[1.0] * ACTION,
        chunk_length=agent.config.chunk_length,
        control_rate=20.0,
        noise_shape=list(agent.decision_rule.noise_shape),
        step=0,
        data={},
        config={},
        versions={},
    )
    rule = agent.decision_rule
    model = build_model(Decision(rule, None), OBSERVATION, rule.noise_shape, batch=1, opset=18)
    describe(model, told.entries())
    return model.SerializeToString()


def deciders(method: str, best_of: int) -> dict[str, Callable[[], object]]:
    """A decision of an agent with fresh parameters, in JAX and in ONNX."""
    kind, config_kind = METHODS[method]
    config = config_kind(best_of=best_of)
    agent = kind.create(config, OBSERVATION, ACTION, jax.random.key(0))
    policy = Policy(exported(agent))
    rule = agent.decision_rule
    act = jax.jit(lambda rule, observation, key: rule(observation, rule.draw_noise(key)))
    rng = np.random.default_rng(0)
    observation = rng.standard_normal(OBSERVATION, np.float32)
    key = jax.random.key(1)
    return {
        "JAX": lambda: np.asarray(act(rule, observation, key)),
        "ONNX": lambda: policy.act(observation, rng),
    }


def times(decide: Callable[[], object]) -> list[float]:
    """In milliseconds, of a block."""
    for _ in range(5):
        decide()
    taken = []
    for _ in range(BLOCK):
        start = time.perf_counter()
        decide()
        taken.append(1e3 * (time.perf_counter() - start))
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error(f"--rounds must be at least 1, not {options.rounds}")
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # before JAX starts its threads
    published = published_cost()
    rows = {}
    for method in options.methods:
        _, config = METHODS[method]
        for best_of in sorted({1, config().best_of}):
            rows[method, best_of] = deciders(method, best_of)
    taken: dict[tuple, list[float]] = {}
    for _ in range(options.rounds):
        for row, both in rows.items():
            for name, decide in both.items():
                taken.setdefault((*row, name), []).extend(times(decide))
    print(f"jax {jax.__version__}, onnxruntime {onnxruntime.__version__}, one core\n")
    print(
        "| method | best of | JAX: median (ms) | 99% | ONNX: median (ms) | 99% "
        "| published: evaluation (ms) |\n| --- | --- | --- | --- | --- | --- | --- |"
    )
    for method, best_of in rows:
        cells = [
            f"{np.quantile(taken[method, best_of, name], part):.3f}"
            for name in ("JAX", "ONNX")
            for part in (0.5, 0.99)
        ]
        paper = published[method]["evaluation_ms"] if method in published else ""
        print(f"| {method} | {best_of} | {' | '.join(cells)} | {paper} |")


if __name__ == "__main__":
    main()
