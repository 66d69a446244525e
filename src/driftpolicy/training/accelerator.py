"""What a run does otherwise where JAX computes on something else than a CPU."""

import os
from pathlib import Path

import jax

_MOST_ENVIRONMENTS = 16


def has_accelerator() -> bool:
    """Return whether JAX computes on something else than a CPU."""
    return jax.default_backend() != "cpu"


def keep_compiled_programs() -> None:
    """Keep compiled programs in the user's cache folder, so that a second run starts at once.

    On a CPU nothing is kept: compiling takes seconds there, and a program belongs to one kind of
    processor. A folder that JAX was told of, as by ``JAX_COMPILATION_CACHE_DIR``, stays.
    """
    if has_accelerator() and jax.config.values["jax_compilation_cache_dir"] is None:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
        jax.config.update("jax_compilation_cache_dir", str(cache / "driftpolicy" / "compiled"))


def default_environments(runs: int) -> int:
    """Return how many environments a new run gets if nobody says: what the cores can feed.

    On a CPU one, as published: there a gradient step takes longer than an environment's. On an
    accelerator a core each, shared between the runs side by side and at most 16.
    """
    if not has_accelerator():
        return 1
    cores = len(os.sched_getaffinity(0))
    return max(1, min(_MOST_ENVIRONMENTS, cores // runs))
