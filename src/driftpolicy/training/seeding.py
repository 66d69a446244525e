"""A run's streams of random keys."""

import jax


class RunKeys:
    """A run's streams of keys, all functions of its seed."""

    def __init__(self, seed: int):
        """Separate streams for the initialisation, updates, decisions and evaluation."""
        key = jax.random.key(seed)
        self.init, self.update, self.act, self.evaluate = (
            jax.random.fold_in(key, stream) for stream in range(4)
        )
