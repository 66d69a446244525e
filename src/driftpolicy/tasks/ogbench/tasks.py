"""OGBench's manipulation tasks: five goals in each of nine scenes, with data of two or three kinds.

The names are OGBench's (arXiv 2410.20092).
"""

from driftpolicy.tasks.task import Task

BENCHMARK = "ogbench"
CONTROL_RATE = 20.0
"""Steps per second."""
_SCENES = (
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
_KINDS = {"play": "", "noisy": "noisy", "play-100m": "100m"}
"""How the data was made, and the word that stands for it in headings."""
_IN_PAPER = ("play", "play-100m")
_LARGE = "cube-quadruple"  # the scene with data of a hundred million steps
_GOALS = 5


def _make_tasks() -> dict[str, Task]:
    tasks = [
        _make_task(domain, family, kind, number)
        for domain, family in _SCENES
        for kind in _KINDS
        if kind != "play-100m" or family == _LARGE
        for number in range(1, _GOALS + 1)
    ]
    return {task.name: task for task in tasks}


def _make_task(domain: str, family: str, kind: str, number: int) -> Task:
    words = [word for word in (_KINDS[kind], f"task{number}") if word]
    return Task(
        name=f"{family}-{kind}-singletask-task{number}-v0",
        benchmark=BENCHMARK,
        domain=domain,
        family=family,
        kind=kind,
        number=number,
        environment=f"{family}-singletask-task{number}-v0",
        dataset=f"{family}-{kind}-v0",
        heading=(family, " ".join(words)),
        sparse=False,
        paper_name="-".join([family, *words]) if kind in _IN_PAPER else None,
    )


TASKS = _make_tasks()
"""All of them by their names."""
