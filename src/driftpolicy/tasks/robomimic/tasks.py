"""Robomimic's tasks: three scenes of robosuite with demonstrations of two or three kinds.

The kinds are demonstrations of one proficient human (``ph``), of several humans (``mh``) and of a
machine (``mg``; arXiv 2108.03298).
"""

from driftpolicy.tasks.task import Task

BENCHMARK = "robomimic"
CONTROL_RATE = 20
"""Steps per second."""
_ENVIRONMENTS = {"lift": "Lift", "can": "PickPlaceCan", "square": "NutAssemblySquare"}
_KINDS = {"lift": ("ph", "mh", "mg"), "can": ("ph", "mh", "mg"), "square": ("ph", "mh")}


def _make_task(family: str, kind: str) -> Task:
    name = f"{family}-{kind}-low_dim"
    return Task(
        name=name,
        benchmark=BENCHMARK,
        domain=family,
        family=family,
        kind=kind,
        environment=_ENVIRONMENTS[family],
        dataset=name,
        heading=(family, kind),
        paper_name=family if kind == "mh" else None,
    )


TASKS = {
    task.name: task
    for task in (_make_task(family, kind) for family in _KINDS for kind in _KINDS[family])
}
"""All of them by their names."""
