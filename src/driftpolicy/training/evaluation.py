"""Evaluation: whole chunks, seeded episodes, environments in parallel processes."""

import itertools
from collections.abc import Iterator
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from driftpolicy.agents import Agent
from driftpolicy.envs.base import episode_seed
from driftpolicy.envs.episodes import Episode, EpisodeRunner
from driftpolicy.envs.parallel import Workers
from driftpolicy.tasks.registry import environment_maker
from driftpolicy.tasks.task import Task

_EVALUATION = 2  # names the stream of episode seeds; training's is another


def evaluation_workers(task: Task, processes: int) -> Workers[EpisodeRunner]:
    """Processes to evaluate in; start them once per run."""
    return Workers(processes, EpisodeRunner, environment_maker(task))


class Decider:
    """An agent's decisions, one observation at a time.

    That keeps every decision independent of which episodes happen to run beside it, so that no
    result depends on the number of processes. What can be done for many decisions at once is: the
    agent is taken apart and the noise drawn beforehand. At each decision either would cost as much
    as a small network.
    """

    def __init__(self, agent: Agent):
        """Take the agent apart."""
        self._arrays, self._structure = jax.tree.flatten(agent)
        self._noise_shape = agent.noise_shape
        self._act: Any = None

    def noise(self, key: PRNGKeyArray, ahead: int = 64) -> Iterator[np.ndarray]:
        """Of one decision after the other: what the agent draws from ``fold_in(key, 0)``, 1, ...

        It is drawn for ``ahead`` decisions at a time.
        """
        for first in itertools.count(0, ahead):
            yield from np.asarray(_noise(key, first, ahead=ahead, shape=self._noise_shape))

    def __call__(self, observation: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """The chunk ``[H, action]`` to execute."""
        if self._act is None:
            shapes = tuple((array.shape, array.dtype) for array in self._arrays)
            self._act, used = _compiled(self._structure, shapes, observation.shape, noise.shape)
            self._arrays = [self._arrays[i] for i in used]
        return np.asarray(self._act(self._arrays, observation, noise))


@partial(jax.jit, static_argnames=("ahead", "shape"))
def _noise(key: PRNGKeyArray, first: Any, *, ahead: int, shape: tuple[int, ...]) -> jax.Array:
    def one(number: jax.Array) -> jax.Array:
        return jax.random.normal(jax.random.fold_in(key, number), shape)

    return jax.vmap(one)(first + jnp.arange(ahead))


@lru_cache
def _compiled(
    structure: Any, shapes: tuple, observation: tuple[int, ...], noise: tuple[int, ...]
) -> tuple[Any, list[int]]:
    """The decision of agents of one structure, and which of their arrays it needs."""

    def act(arrays: list, observation: Any, noise: Any) -> Any:
        return jax.tree.unflatten(structure, arrays).act_from(observation, noise)

    def act_on_used(arrays: list, observation: Any, noise: Any) -> Any:
        rest: list = [None] * len(shapes)
        for i, array in zip(used, arrays, strict=True):
            rest[i] = array
        return act(rest, observation, noise)

    arrays = [jax.ShapeDtypeStruct(*shape) for shape in shapes]
    program = jax.make_jaxpr(act)(arrays, jnp.zeros(observation), jnp.zeros(noise)).jaxpr
    read = {id(variable) for equation in program.eqns for variable in equation.invars}
    used = [i for i, variable in enumerate(program.invars[: len(shapes)]) if id(variable) in read]
    return jax.jit(act_on_used), used


def episode_seeds(seed: int, episodes: int) -> list[int]:
    """The reset seeds of a run's evaluation episodes: functions of (seed, episode) alone."""
    return [episode_seed(seed, _EVALUATION, episode) for episode in range(episodes)]


def evaluate(
    agent: Agent, workers: Workers[EpisodeRunner], *, seed: int, episodes: int, key: PRNGKeyArray
) -> list[Episode]:
    """Run ``episodes`` episodes; the result is the same for any number of workers.

    Episode ``i`` is reset with a seed made of (``seed``, ``i``) and decides with keys made of
    ``key``, ``i`` and the decision's number. The policy is called once per chunk.
    """
    seeds = episode_seeds(seed, episodes)
    decide = Decider(agent)
    results: dict[int, Episode] = {}
    running: dict[int, tuple[int, Iterator[np.ndarray]]] = {}  # worker -> (episode, its noise)
    started = 0

    def start(worker: int) -> None:
        nonlocal started
        if started < episodes:
            running[worker] = (started, decide.noise(jax.random.fold_in(key, started)))
            workers.submit(worker, EpisodeRunner.reset, seeds[started])
            started += 1

    for worker in range(len(workers)):
        start(worker)
    while len(results) < episodes:
        for worker, reply in workers.ready():
            episode, noise = running[worker]
            if isinstance(reply, Episode):
                results[episode] = reply
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
