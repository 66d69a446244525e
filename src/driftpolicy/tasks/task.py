"""Task names, and what each means. Knows no simulator until one is made."""

import dataclasses
import difflib
import re
from pathlib import PurePath
from typing import Literal

from driftpolicy.errors import UserError
from driftpolicy.scaling import Scaling

_OGBENCH_SCENES = (
    ("cube", "cube-single"),
    ("cube", "cube-double"),
    ("cube", "cube-triple"),
    ("cube", "cube-quadruple"),
    ("scene", "scene"),
    ("puzzle", "puzzle-3x3"),
    ("puzzle", "puzzle-4x4"),
    ("puzzle", "puzzle-4x5"),
    ("puzzle", "puzzle-4x6"),
)
_KINDS = ("play", "noisy")
_ROBOMIMIC = {"lift": "Lift", "can": "PickPlaceCan", "square": "NutAssemblySquare"}
OWN_PREFIX = "gymnasium:"
"""Begins the task's name of an environment of the user's own."""


@dataclasses.dataclass(frozen=True)
class Own:
    """What a user says of an environment and data of their own."""

    action_bounds: Literal["space", "data"] = "space"
    """What -1 and 1 mean: the bounds of the action space, or the extremes in the data."""
    normalise_observations: bool = False
    """Whether observations have mean 0 and deviation 1 over the data."""
    reward: Literal["own", "success"] = "own"
    """The data's and the environment's rewards, or success - 1 with an end at success."""
    success_return: float | None = None
    """The return from which an episode counts as a success; None: ``info`` says it."""
    max_episode_steps: int | None = None
    """A time limit in steps; None: the environment's own."""
    scaling: Scaling | None = None
    """Known once the data are read; None: everything as it is."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """A single manipulation task with its prior data."""

    name: str
    """As on the command line, for instance ``cube-double-play-singletask-task2-v0``."""
    benchmark: str
    """Which table of per-benchmark defaults applies, for instance ``ogbench``."""
    domain: str
    """The kind of scene, over all its sizes: ``cube``, ``puzzle``, ``lift``."""
    family: str
    """The scene, for instance ``cube-double``."""
    kind: str
    """How the data was made: ``play``, ``noisy``, ``play-100m``; ``ph``, ``mh``, ``mg``."""
    number: int | None = None
    """Which of the scene's goals, counted from 1; None where a scene has only one."""
    environment: str
    """The simulator's registered id."""
    dataset: str
    """The name of the published dataset."""
    heading: tuple[str, str]
    """A heading of two lines, the second perhaps empty: ``("cube-double", "task2")``."""
    paper_name: str | None = None
    """The name of the task in the paper's tables, if it is in them: ``cube-double-task2``."""
    own: Own | None = None
    """Of an environment of the user's own, else None."""

    @property
    def title(self) -> str:
        """The heading in one line: ``cube-double task2``."""
        return " ".join(filter(None, self.heading))


def _ogbench_tasks() -> dict[str, Task]:
    tasks = {}
    for domain, family in _OGBENCH_SCENES:
        kinds = (*_KINDS, "play-100m") if family == "cube-quadruple" else _KINDS
        for kind in kinds:
            prefix = {"play": "", "play-100m": "100m"}.get(kind, kind)
            for number in range(1, 6):
                name = f"{family}-{kind}-singletask-task{number}-v0"
                words = [word for word in (prefix, f"task{number}") if word]
                in_paper = kind in ("play", "play-100m")
                tasks[name] = Task(
                    name=name,
                    benchmark="ogbench",
                    domain=domain,
                    family=family,
                    kind=kind,
                    number=number,
                    environment=f"{family}-singletask-task{number}-v0",
                    dataset=f"{family}-{kind}-v0",
                    heading=(family, " ".join(words)),
                    paper_name="-".join([family, *words]) if in_paper else None,
                )
    return tasks


def _robomimic_tasks() -> dict[str, Task]:
    tasks = {}
    for family, environment in _ROBOMIMIC.items():
        for kind in ("ph", "mh") if family == "square" else ("ph", "mh", "mg"):
            name = f"{family}-{kind}-low_dim"
            tasks[name] = Task(
                name=name,
                benchmark="robomimic",
                domain=family,
                family=family,
                kind=kind,
                environment=environment,
                dataset=name,
                heading=(family, kind),
                paper_name=family if kind == "mh" else None,
            )
    return tasks


TASKS: dict[str, Task] = _robomimic_tasks() | _ogbench_tasks()


def own_task(environment: str) -> Task:
    """The task of an environment of the user's own: Gymnasium's id, or ``module:function``."""
    name = OWN_PREFIX + environment
    return Task(
        name=name,
        benchmark="gymnasium",
        domain="own",
        family="own",
        kind="own",
        environment=environment,
        dataset=environment,
        heading=own_words(environment),
        own=Own(),
    )


def own_words(environment: str) -> tuple[str, str]:
    """An environment of the user's own, for a heading of two lines, the second perhaps empty.

    ``("Pendulum-v1", "")``, ``("my_robot.sim", "make")``; of a file's path the end, which tells it
    from others of its name: ``("arm/env.py", "make")``.
    """
    maker, _, name = environment.rpartition(":")
    if maker.endswith(".py"):
        path = PurePath(maker)
        maker = "/".join(path.relative_to(path.anchor).parts[-2:])
    return (maker, name) if maker else (name, "")


def find_task(name: str) -> Task:
    """The task of this name.

    Raises:
        UserError: with the nearest names.
    """
    if name in TASKS:
        return TASKS[name]
    if name.startswith(OWN_PREFIX) and name != OWN_PREFIX:
        return own_task(name.removeprefix(OWN_PREFIX))
    words = set(re.split(r"[-_ ]", name))
    near = difflib.get_close_matches(name, TASKS, n=3, cutoff=0.5) or sorted(
        TASKS, key=lambda known: -len(words & set(known.split("-")))
    )
    raise UserError(f"unknown task {name!r}; nearest: {', '.join(near[:3])} (dfp tasks lists all)")
