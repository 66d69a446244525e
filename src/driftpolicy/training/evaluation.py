"""Evaluation: whole chunks, seeded episodes, environments in parallel processes."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from driftpolicy.agents.decision import DecisionRule
from driftpolicy.envs.base import episode_seed
from driftpolicy.envs.episodes import Episode, EpisodeRunner
from driftpolicy.envs.parallel import Workers
from driftpolicy.tasks.registry import environment_maker
from driftpolicy.tasks.task import Task
from driftpolicy.training.deciding import Decider

_EVALUATION = 2  # names the stream of episode seeds; training's is another


def evaluation_workers(
    task: Task, processes: int, patience: float | None = None
) -> Workers[EpisodeRunner]:
    """Start processes to evaluate in, once per run; ``patience`` as :class:`Workers` has it."""
    workers = Workers(processes, EpisodeRunner, environment_maker(task))
    workers.patience = patience or None
    return workers


def episode_seeds(seed: int, episodes: int) -> list[int]:
    """Return the reset seeds of a run's evaluation episodes: functions of (seed, episode) alone."""
    return [episode_seed(seed, _EVALUATION, episode) for episode in range(episodes)]


def seeds_matter(workers: Workers[EpisodeRunner], seed: int) -> bool:
    """Tell whether two seeds of a run's evaluation give different first observations."""
    one, other = (workers.call(0, EpisodeRunner.reset, each) for each in episode_seeds(seed, 2))
    return not np.array_equal(one, other)


def evaluate(
    rule: DecisionRule,
    workers: Workers[EpisodeRunner],
    *,
    seed: int,
    episodes: int,
    key: PRNGKeyArray,
    known: Mapping[int, Episode] | None = None,
    progress: Callable[[Mapping[int, Episode]], None] | None = None,
) -> list[Episode]:
    """Run ``episodes`` episodes; the result is the same for any number of workers.

    Episode ``i`` is reset with a seed made of (``seed``, ``i``) and decides with keys made of
    ``key``, ``i`` and the decision's number. The policy is called once per chunk. Episodes that are
    ``known`` by their number are not run again; ``progress`` is called with all that are over.
    """
    seeds = episode_seeds(seed, episodes)
    decide = Decider(rule)
    results: dict[int, Episode] = dict(known or {})
    running: dict[int, tuple[int, Iterator[np.ndarray]]] = {}  # worker -> (episode, its noise)
    waiting = iter([episode for episode in range(episodes) if episode not in results])

    def start(worker: int) -> None:
        episode = next(waiting, None)
        if episode is not None:
            running[worker] = (episode, decide.noise(jax.random.fold_in(key, episode)))
            workers.submit(worker, EpisodeRunner.reset, seeds[episode])

    workers.abandon()  # another run's evaluation may have failed with episodes under way
    for worker in range(len(workers)):
        start(worker)
    while len(results) < episodes:
        for worker, reply in workers.ready():
            episode, noise = running[worker]
            if isinstance(reply, Episode):
                results[episode] = reply
                if progress is not None:
                    progress(results)
                start(worker)
            else:
                workers.submit(worker, EpisodeRunner.execute, decide(reply, next(noise)))
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
