"""How tests compile: without optimisation, since their programs run once, or for a second."""

from importlib import metadata

ONCE: dict[str, int | bool] = {"xla_backend_optimization_level": 0}
"""Options of a program that runs once."""
if int(metadata.version("jaxlib").split(".")[1]) < 11:
    ONCE["xla_cpu_use_fusion_emitters"] = False  # later versions know no such option
LOOP = ONCE | {"xla_backend_optimization_level": 1}
"""Options of a program that runs for a second."""
FLAGS = " ".join(f"--{name}={str(value).lower()}" for name, value in ONCE.items())
"""The same as ``ONCE``, for the variable ``XLA_FLAGS``."""
