"""Decisions from the host: an agent's rule, its noise drawn ahead, compiled once."""

import itertools
from collections.abc import Iterator, Mapping
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int32, Key, PRNGKeyArray

from driftpolicy.agents.decision import DecisionRule

Place = tuple[int, int]
"""The number of a run among those side by side, and of an environment of its."""


@cache
def _compiled(structure: Any) -> Any:
    """Return the compiled decision of rules of one structure, a function of their arrays."""

    def decide(arrays: list, observation: Any, noise: Any) -> Array:
        return jax.tree.unflatten(structure, arrays)(observation, noise)

    return jax.jit(decide)


@jax.jit
def _decide_everywhere(rules: DecisionRule, observations: Any, noise: Any) -> Array:
    """Decide for every environment of every run: ``rules`` has a leading axis of runs."""
    return jax.vmap(lambda rule, observation, noise: rule(observation, noise))(
        rules, observations, noise
    )


class Decider:
    """An agent's decisions, one observation at a time.

    That keeps every decision independent of which episodes happen to run beside it, so no result
    depends on the number of processes.
    """

    def __init__(self, rule: DecisionRule):
        """Take the rule apart once: at each decision that would cost as much as a small network."""
        self._noise_shape = rule.noise_shape
        self._arrays, structure = jax.tree.flatten(rule)
        self._decide = _compiled(structure)

    def noise(self, key: PRNGKeyArray, ahead: int = 64) -> Iterator[Float32[np.ndarray, "n flat"]]:
        """Yield the noise of one decision after the other, drawn from ``fold_in(key, 0)``, 1, ...

        It is drawn for ``ahead`` decisions at a time: alone, each draw would cost as much as a
        small network.
        """
        for first in itertools.count(0, ahead):
            drawn = _noise_ahead(key, first, ahead=ahead, shape=self._noise_shape)
            yield from np.asarray(drawn)

    def programs(self) -> int:
        """Return how many programs have been compiled for rules of this structure."""
        return self._decide._cache_size()

    def __call__(
        self, observation: Float[np.ndarray, " observation"], noise: Float[np.ndarray, "n flat"]
    ) -> Float32[np.ndarray, "chunk action"]:
        """Return the chunk to execute."""
        return np.asarray(self._decide(self._arrays, observation, noise))


@partial(jax.jit, static_argnames=("ahead", "shape"))
def _noise_ahead(
    key: PRNGKeyArray, first: Any, *, ahead: int, shape: tuple[int, int]
) -> Float[Array, "ahead n flat"]:
    return _noise_of(key, first + jnp.arange(ahead), shape)


def _noise_of(key: PRNGKeyArray, numbers: Any, shape: tuple[int, int]) -> Array:
    """Draw noise from ``fold_in(key, number)`` for each number."""
    return jax.vmap(lambda n: jax.random.normal(jax.random.fold_in(key, n), shape))(numbers)


@partial(jax.jit, static_argnames=("environments", "shape"))
def online_noise(
    keys: Key[Array, " runs"],
    steps: Int32[Array | np.ndarray, " runs"],
    *,
    environments: int,
    shape: tuple[int, int],
) -> Float[Array, "runs environments n flat"]:
    """Draw the noise of a decision in every environment of every run.

    Environment ``e`` of a run draws from ``fold_in(fold_in(key, step), e)``.

    Args:
        keys: of each run, for decisions.
        steps: of each run.
        environments: how many each run has.
        shape: of the noise of one decision.
    """

    def of_run(key: Any, step: Any) -> Array:
        return _noise_of(jax.random.fold_in(key, step), jnp.arange(environments), shape)

    return jax.vmap(of_run)(keys, steps)


def decide_everywhere(
    rules: DecisionRule,
    observations: Mapping[Place, Float[np.ndarray, " observation"]],
    noise: Float[Array, "runs environments n flat"],
) -> dict[Place, Float32[np.ndarray, "chunk action"]]:
    """Decide at the given observations in one call of one shape, whichever they are.

    Args:
        rules: of all runs, stacked.
        observations: where chunks have been executed.
        noise: of every environment.
    """
    width = next(iter(observations.values())).shape[-1]
    filled = np.zeros((*noise.shape[:2], width), np.float32)
    for place, observation in observations.items():
        filled[place] = observation
    chunks = np.asarray(_decide_everywhere(rules, filled, noise))
    return {place: chunks[place] for place in observations}
