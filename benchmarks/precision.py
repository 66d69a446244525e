"""How often bfloat16 products choose the candidate that float32 ones choose (point 8).

    uv run python benchmarks/precision.py RUN --data FILE

On states of the prior data, with the policy and the critic of a trained run: the best of N', the K
best of N, what another choice costs in units of the candidates' spread of Q, and the time of
scoring a batch of 256 states either way.
"""

import argparse
import dataclasses
import statistics
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from common import in_turn, milliseconds

from driftpolicy.agents.actor_critic import AnchoredActorCritic, ImprovementConfig
from driftpolicy.agents.config import AgentConfig
from driftpolicy.agents.scoring import score
from driftpolicy.data.transitions import Dataset
from driftpolicy.runs.checkpoints import checkpoint_of
from driftpolicy.tasks.benchmark import LoadOptions
from driftpolicy.tasks.registry import benchmark_of, find_task
from driftpolicy.training.restore import load_agent


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("--data", required=True, metavar="FILE")
    options = parser.parse_args()
    agent, checkpoint = load_agent(checkpoint_of(Path(options.run)))
    config = checkpoint.config
    assert isinstance(agent, AnchoredActorCritic)
    assert isinstance(config.agent, ImprovementConfig)
    task = find_task(config.task)
    prior = benchmark_of(task).load_data(task, Path(options.data), LoadOptions()).prior
    assert isinstance(prior, Dataset)
    rows = prior.rows
    chosen = np.random.default_rng(0).choice(len(rows.starts), 4096, replace=False)
    states = jnp.asarray(rows.observations[rows.starts[chosen]])
    halves = dataclasses.replace(config.agent, scoring_precision="bfloat16")
    precisions = (config.agent, halves)
    print(f"{jax.devices()[0].device_kind}, jax {jax.__version__}; {config.method} on")
    print(f"{config.task}, step {checkpoint.step:,}; {len(states):,} states of {options.data}")
    compiled = jax.jit(score, static_argnums=0)

    def values(precision: AgentConfig, states: jax.Array, chunks: jax.Array) -> jax.Array:
        return compiled(precision, agent.critic.online, states, chunks)

    for what, count, kept in (
        ("best of N'", config.agent.best_of, 1),
        ("K best of N", config.agent.candidates, config.agent.positives),
    ):
        chunks = agent.actor.sample(states, count, key=jax.random.key(0))
        full, half = (np.asarray(values(one, states, chunks)) for one in precisions)
        best, other = (np.argsort(-q, axis=1, kind="stable")[:, :kept] for q in (full, half))
        same = np.mean([len(set(a) & set(b)) / kept for a, b in zip(best, other, strict=True)])
        lost = np.mean(np.take_along_axis(full, best, 1) - np.take_along_axis(full, other, 1))
        spread = np.mean(np.std(full, axis=1))
        print(
            f"{what} ({kept} of {count}): {100 * same:.1f}% chosen alike; another choice costs "
            f"{lost:.2g} of Q on average, {100 * lost / spread:.2g}% of the candidates' spread"
        )
    few = jax.block_until_ready((states[:256], chunks[:256]))
    times = in_turn(9, *(lambda c=c: milliseconds(lambda: values(c, *few), 5) for c in precisions))
    times = [statistics.median(each) for each in times]
    print(f"scoring 256 states: float32 {times[0]:.2f} ms, bfloat16 {times[1]:.2f} ms")


if __name__ == "__main__":
    main()
