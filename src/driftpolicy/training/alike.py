"""Which runs can be one program on an accelerator: those whose arrays and whose code are the same.

They may differ in their seed, in the task as long as its data are those of one dataset, in the
numbers of their method (:mod:`driftpolicy.agents.numbers`), and in what changes no gradient step.
"""

import dataclasses
from collections.abc import Hashable

from driftpolicy.agents import find_method
from driftpolicy.agents.numbers import structure_of
from driftpolicy.config import TrainConfig
from driftpolicy.tasks.registry import find_task

_FREE = frozenset(
    {
        *("task", "method", "agent", "seed", "offline_from"),
        *("processes", "video", "loggers", "eval_episodes", "collect_episodes"),
    }
)
"""Fields of a config that are compared in another way, or may differ."""


def program_of(config: TrainConfig) -> Hashable:
    """Return what runs that train as one program have in common."""
    names = sorted(field.name for field in dataclasses.fields(config))
    return (
        find_task(config.task).dataset,
        find_method(config.method).agent,
        structure_of(config.agent),
        tuple((name, getattr(config, name)) for name in names if name not in _FREE),
    )
