"""A run's streams of random keys."""

import jax

from driftpolicy.config import SEEDS
from driftpolicy.errors import UserError


def key_of(seed: int) -> jax.Array:
    """Return the random key of a seed.

    Args:
        seed: from 0 to 2^32 - 1; JAX would take another one for one of these.

    Raises:
        UserError: for another seed.
    """
    if not 0 <= seed < SEEDS:
        raise UserError(f"seed must be from 0 to {SEEDS - 1}, not {seed}")
    return jax.random.key(seed)


class RunKeys:
    """A run's streams of keys, all functions of its seed."""

    def __init__(self, seed: int):
        """Separate streams for the initialisation, updates, decisions and evaluation.

        Args:
            seed: from 0 to 2^32 - 1.

        Raises:
            UserError: for another seed.
        """
        key = key_of(seed)
        self.init, self.update, self.act, self.evaluate = (
            jax.random.fold_in(key, stream) for stream in range(4)
        )
