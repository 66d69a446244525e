"""One-step generative policies for robot manipulation, trained by offline-to-online RL.

import driftpolicy

run = driftpolicy.train("cube-single-play-singletask-task1-v0", preset="quickstart")
print(run.evaluations[-1].success)
policy = driftpolicy.load_policy(run.path)
chunk = policy.act(observation, seed=0)
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from driftpolicy.agents import register_method as register_method
    from driftpolicy.api import resume as resume
    from driftpolicy.api import train as train
    from driftpolicy.api import train_seeds as train_seeds
    from driftpolicy.policy import load_policy as load_policy
    from driftpolicy.runs import load_run as load_run
    from driftpolicy.tasks.registry import register as register

_PLACES = {
    "load_policy": "driftpolicy.policy",
    "load_run": "driftpolicy.runs",
    "register": "driftpolicy.tasks.registry",
    "register_method": "driftpolicy.agents",
    "resume": "driftpolicy.api",
    "train": "driftpolicy.api",
    "train_seeds": "driftpolicy.api",
}

__all__ = ["__version__", *_PLACES]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    """Import JAX only when it is needed: environment processes live without it."""
    if name in _PLACES:
        return getattr(importlib.import_module(_PLACES[name]), name)
    raise AttributeError(f"module 'driftpolicy' has no attribute {name!r}")
