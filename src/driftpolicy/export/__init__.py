"""From a run to a file that decides without JAX: needs the extra ``export``."""
