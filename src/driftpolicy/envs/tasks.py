"""Task names, and what each means. Knows no simulator until one is made."""

import dataclasses
import difflib
import re

from driftpolicy.errors import UserError

_OGBENCH_FAMILIES = (
    "cube-single",
    "cube-double",
    "cube-triple",
    "cube-quadruple",
    "scene",
    "puzzle-3x3",
    "puzzle-4x4",
    "puzzle-4x5",
    "puzzle-4x6",
)
_KINDS = ("play", "noisy")
_ROBOMIMIC = {"lift": "Lift", "can": "PickPlaceCan", "square": "NutAssemblySquare"}


@dataclasses.dataclass(frozen=True)
class Task:
    """A single manipulation task with its prior data."""

    name: str
    """As on the command line, for instance ``cube-double-play-singletask-task2-v0``."""
    benchmark: str
    """Which table of per-benchmark defaults applies, for instance ``ogbench``."""
    family: str
    """The scene, for instance ``cube-double``."""
    kind: str
    """How the data was made: ``play``, ``noisy``, ``play-100m``; ``ph``, ``mh``, ``mg``."""
    environment: str
    """The simulator's registered id."""
    dataset: str
    """The name of the published dataset."""


def _ogbench_tasks() -> dict[str, Task]:
    tasks = {}
    for family in _OGBENCH_FAMILIES:
        kinds = (*_KINDS, "play-100m") if family == "cube-quadruple" else _KINDS
        for kind in kinds:
            for number in range(1, 6):
                name = f"{family}-{kind}-singletask-task{number}-v0"
                tasks[name] = Task(
                    name=name,
                    benchmark="ogbench",
                    family=family,
                    kind=kind,
                    environment=f"{family}-singletask-task{number}-v0",
                    dataset=f"{family}-{kind}-v0",
                )
    return tasks


def _robomimic_tasks() -> dict[str, Task]:
    tasks = {}
    for family, environment in _ROBOMIMIC.items():
        for kind in ("ph", "mh") if family == "square" else ("ph", "mh", "mg"):
            name = f"{family}-{kind}-low_dim"
            tasks[name] = Task(name, "robomimic", family, kind, environment, dataset=name)
    return tasks


TASKS: dict[str, Task] = _robomimic_tasks() | _ogbench_tasks()


def find_task(name: str) -> Task:
    """The task of this name.

    Raises:
        UserError: with the nearest names.
    """
    if name in TASKS:
        return TASKS[name]
    words = set(re.split(r"[-_ ]", name))
    near = difflib.get_close_matches(name, TASKS, n=3, cutoff=0.5) or sorted(
        TASKS, key=lambda known: -len(words & set(known.split("-")))
    )
    raise UserError(f"unknown task {name!r}; nearest: {', '.join(near[:3])} (dfp tasks lists all)")
