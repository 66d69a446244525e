"""Does an exported policy decide as the agent does? Asked of thousands of states."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32

from driftpolicy.deploy import Policy
from driftpolicy.errors import UserError
from driftpolicy.export.decision import Decision

TOLERANCE = 1e-5
"""Largest difference of a number in a chunk, where actions are in [-1, 1]."""
_TIE = 1e-5  # values are equal if they differ by less, relative to their size where above 1
_BATCH = 250  # states at a time, where the model takes any number


@dataclasses.dataclass(frozen=True)
class Agreement:
    """What was found."""

    states: int
    where: str
    """Which states they were, as words after ``states``; may be empty."""
    largest: float
    """The largest difference where both chose the same candidate."""
    ties: int
    """States in which they chose different candidates of equal value."""

    def words(self) -> str:
        """Put the agreement into one line."""
        states = f"{self.states:,} states {self.where}".rstrip()
        text = f"agrees with JAX in {states}: largest difference {self.largest:.1e}"
        if self.ties:
            text += (
                f", but for {self.ties} in which they took two candidates whose values are equal "
                "within rounding"
            )
        return text


def check_agreement(
    policy: Policy,
    decide: Decision,
    observations: Float32[np.ndarray, "states observation"],
    *,
    seed: int = 0,
    where: str = "",
    progress: Callable[[int], None] = lambda _: None,
) -> Agreement:
    """Compare decisions made from the same noise.

    Where the two took different candidates, it is no error if these have the same value: the choice
    between them then hangs on the rounding of either. Everything else is.

    Args:
        policy: the exported one.
        decide: what it should be.
        observations: where to compare, in the task's units.
        seed: of the noise.
        where: which states these are, for the words of the result.
        progress: told how many states are done.

    Raises:
        UserError: with the first state that differs by more than :data:`TOLERANCE`.
    """
    rng = np.random.default_rng(seed)
    m = policy.metadata
    half = np.subtract(m.action_high, m.action_low, dtype=np.float32) / 2
    compiled = jax.jit(decide)
    largest, ties, done = 0.0, 0, 0
    while done < len(observations):
        left = len(observations) - done
        size = policy.batch or min(_BATCH, left)
        rows = np.arange(done, done + size) % len(observations)  # a fixed batch is filled up
        observation = observations[rows]
        noise = rng.standard_normal((size, *m.noise_shape), np.float32)
        got = policy.act_from(observation, noise)
        wanted = np.asarray(compiled(observation, noise))
        error = np.max(np.abs(got - wanted) / half, axis=(1, 2))[:left]
        close = error <= TOLERANCE  # false for NaN
        largest = max(largest, float(np.max(error[close], initial=0.0)))
        for i in np.flatnonzero(~close):
            if not _tied(decide, observation[i], noise[i], got[i], half):
                raise UserError(
                    f"the export does not agree with JAX: in state {done + i} a chunk differs by "
                    f"{error[i]:.2g} (at most {TOLERANCE:g}); nothing was written"
                )
            ties += 1
        done += len(error)
        progress(done)
    return Agreement(len(observations), where, largest, ties)


def _tied(
    decide: Decision,
    observation: Float32[np.ndarray, " observation"],
    noise: Float32[np.ndarray, "candidates flat"],
    got: Float32[np.ndarray, "chunk action"],
    half: Float32[np.ndarray, " action"],
) -> bool:
    """Whether ``got`` is a candidate as good as the best, though another one."""
    chunks, values = map(
        np.asarray, decide.candidates(jnp.asarray(observation), jnp.asarray(noise))
    )
    same = np.max(np.abs(chunks - got) / half, axis=(1, 2)) <= TOLERANCE
    equal = values.max() - values <= _TIE * max(1.0, abs(values.max()))
    return bool(np.any(same & equal))
