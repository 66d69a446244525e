"""Evaluation: whole chunks, seeded episodes, environments in parallel processes."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from driftpolicy.agents import Agent
from driftpolicy.envs.base import episode_seed
from driftpolicy.envs.episodes import Episode, EpisodeRunner
from driftpolicy.envs.parallel import Workers
from driftpolicy.envs.tasks import Task

_EVALUATION = 2  # names the stream of episode seeds; training's is another


def evaluation_workers(task: Task, processes: int) -> Workers:
    """Processes to evaluate in; start them once per run."""
    return Workers(processes, EpisodeRunner, task)


_act = jax.jit(lambda agent, observation, key: agent.act(observation, key))


def decide(agent: Agent, observation: np.ndarray, key: PRNGKeyArray) -> np.ndarray:
    """The chunk ``[H, action]`` to execute at one observation.

    One observation at a time keeps every decision independent of which episodes happen to run
    beside it, so that no result depends on the number of processes.
    """
    return np.asarray(_act(agent, jnp.asarray(observation), key))


def episode_seeds(seed: int, episodes: int) -> list[int]:
    """The reset seeds of a run's evaluation episodes: functions of (seed, episode) alone."""
    return [episode_seed(seed, _EVALUATION, episode) for episode in range(episodes)]


def evaluate(
    agent: Agent, workers: Workers, *, seed: int, episodes: int, key: PRNGKeyArray
) -> list[Episode]:
    """Run ``episodes`` episodes; the result is the same for any number of workers.

    Episode ``i`` is reset with a seed made of (``seed``, ``i``) and decides with keys made of
    ``key``, ``i`` and the decision's number. The policy is called once per chunk.
    """
    seeds = episode_seeds(seed, episodes)
    results: dict[int, Episode] = {}
    running: dict[int, tuple[int, int]] = {}  # worker -> (episode, decisions so far)
    started = 0

    def start(worker: int) -> None:
        nonlocal started
        if started < episodes:
            running[worker] = (started, 0)
            workers.submit(worker, "reset", seeds[started])
            started += 1

    for worker in range(len(workers)):
        start(worker)
    while len(results) < episodes:
        for worker, reply in workers.ready():
            episode, decisions = running[worker]
            if isinstance(reply, Episode):
                results[episode] = reply
                start(worker)
            else:
                running[worker] = (episode, decisions + 1)
                step_key = jax.random.fold_in(jax.random.fold_in(key, episode), decisions)
                workers.submit(worker, "execute", decide(agent, reply, step_key))
    return [results[episode] for episode in range(episodes)]


def summarise(episodes: list[Episode]) -> dict[str, Any]:
    """Mean success (0 to 1), return and length over the episodes."""
    return {
        "success": float(np.mean([episode.success for episode in episodes])),
        "return": float(np.mean([episode.total_reward for episode in episodes])),
        "length": float(np.mean([episode.length for episode in episodes])),
        "episodes": len(episodes),
    }


def success_interval(successes: int, episodes: int) -> tuple[float, float]:
    """Wilson's 95% interval of a success rate (Wilson 1927), in [0, 1]."""
    z = 1.959964
    centre = (successes + z**2 / 2) / (episodes + z**2)
    rate = successes / episodes
    half = z * np.sqrt(rate * (1 - rate) * episodes + z**2 / 4) / (episodes + z**2)
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))
