"""Whether what is in a folder is the run that a suite asks for, wherever it was made."""

import dataclasses
from typing import Any

from driftpolicy.config import TrainConfig
from driftpolicy.errors import UserError
from driftpolicy.runs.folder import RunFolder

FREE_FIELDS = frozenset(
    (
        *("data", "loggers", "log_every", "checkpoint_every", "processes", "video"),
        "offline_from",
    ),
)
"""Settings in which a run made elsewhere may differ, since they change neither the training nor
eval.csv: a run that took over its offline phase is the run that made its own. That a run's data are
the right ones shows in its summary, not in a path."""


def difference(found: TrainConfig, wanted: TrainConfig) -> str:
    """Return in words the first setting that makes ``found`` another run, or nothing."""
    pairs: list[tuple[Any, Any]] = [(found, wanted)]
    if type(found.agent) is type(wanted.agent):
        pairs.append((found.agent, wanted.agent))
    for one, other in pairs:
        for field in dataclasses.fields(one):
            ours, theirs = getattr(one, field.name), getattr(other, field.name)
            if field.name not in FREE_FIELDS | {"agent"} and ours != theirs:
                return f"has {field.name} {_text(ours)}, the suite says {_text(theirs)}"
    return ""


def _text(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def objection(folder: RunFolder, wanted: TrainConfig) -> str:
    """Return in one line why a folder does not hold the run of this config; nothing if it does.

    A folder in which nothing has begun holds no other run either.
    """
    if not folder.begun():
        return ""
    try:
        differs = difference(folder.config(), wanted)
    except UserError as error:
        return str(error)
    return f"{folder.path} {differs}" if differs else ""
