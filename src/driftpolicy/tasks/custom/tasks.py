"""The task of a custom environment, named by what makes the environment."""

from pathlib import PurePath

from driftpolicy.tasks.task import CustomSettings, Task

BENCHMARK = "gymnasium"
CUSTOM_PREFIX = "gymnasium:"
"""Begins the name of the task of a custom environment."""


def custom_task(environment: str) -> Task:
    """Return the task of a custom environment.

    Args:
        environment: Gymnasium's id of it, or ``module:function``, or ``file.py:function``.
    """
    return Task(
        name=CUSTOM_PREFIX + environment,
        benchmark=BENCHMARK,
        domain="own",
        family="own",
        kind="own",
        environment=environment,
        dataset=environment,
        heading=_heading(environment),
        custom=CustomSettings(),
    )


def published_name(name: str) -> str:
    """Return a task's name without the folder of a file that it names; other names as they are."""
    maker, _, function = name.removeprefix(CUSTOM_PREFIX).rpartition(":")
    if not name.startswith(CUSTOM_PREFIX) or not maker.endswith(".py"):
        return name
    return f"{CUSTOM_PREFIX}{PurePath(maker).name}:{function}"


def _heading(environment: str) -> tuple[str, str]:
    """Return ``("Pendulum-v1", "")``, or ``("my_robot.sim", "make")``.

    Of a file's path the end is kept, which tells it from others of its name:
    ``("arm/env.py", "make")``.
    """
    maker, _, name = environment.rpartition(":")
    if maker.endswith(".py"):
        path = PurePath(maker)
        maker = "/".join(path.relative_to(path.anchor).parts[-2:])
    return (maker, name) if maker else (name, "")
