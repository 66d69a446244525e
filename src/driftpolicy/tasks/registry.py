"""The benchmarks there are, and their tasks by name."""

import functools
import re
from collections.abc import Callable
from pathlib import Path

from driftpolicy.envs.base import Environment
from driftpolicy.errors import UserError, nearest
from driftpolicy.tasks.benchmark import RENDER_SIZE, Benchmark
from driftpolicy.tasks.custom.benchmark import Custom
from driftpolicy.tasks.ogbench.benchmark import OGBench
from driftpolicy.tasks.robomimic.benchmark import Robomimic
from driftpolicy.tasks.task import Task

_CUSTOM = Custom()
BENCHMARKS: dict[str, Benchmark] = {
    benchmark.name: benchmark for benchmark in (Robomimic(), OGBench(), _CUSTOM)
}
"""By name, in the order in which ``dfp tasks`` lists their tasks."""


def register(benchmark: Benchmark) -> None:
    """Add a benchmark: its tasks can be trained, collected and inspected like all others.

    Raises:
        UserError: if there is one of this name, or with a task of the same name.
    """
    if benchmark.name in BENCHMARKS:
        raise UserError(f"there is a benchmark {benchmark.name!r} already")
    twice = sorted(set(task_names()) & set(benchmark.tasks()))
    if twice:
        raise UserError(f"there is a task {twice[0]!r} already")
    BENCHMARKS[benchmark.name] = benchmark


def benchmark_of(task: Task) -> Benchmark:
    """Return the benchmark of a task.

    Raises:
        UserError: if it is not registered.
    """
    if task.benchmark not in BENCHMARKS:
        raise UserError(f"unknown benchmark {task.benchmark!r}; known: {', '.join(BENCHMARKS)}")
    return BENCHMARKS[task.benchmark]


def benchmark_of_data(path: Path) -> Benchmark:
    """Return the benchmark that data are of, at a glance.

    The one that was registered last is asked first. What nobody claims is left to the custom
    environments, whose data may be known by other names than a path.
    """
    claims = (benchmark for benchmark in reversed(BENCHMARKS.values()) if benchmark.holds(path))
    return next(claims, _CUSTOM)


def all_tasks() -> dict[str, Task]:
    """Return all tasks that are listed, by their names."""
    return {
        name: task for benchmark in BENCHMARKS.values() for name, task in benchmark.tasks().items()
    }


def task_names() -> list[str]:
    """Return the names of all tasks that are listed."""
    return list(all_tasks())


def find_task(name: str) -> Task:
    """Return the task of this name.

    Raises:
        UserError: with the nearest names.
    """
    for benchmark in BENCHMARKS.values():
        task = benchmark.find_task(name)
        if task is not None:
            return task
    names = task_names()
    near = nearest(name, names, most=3, alike=0.5) or _with_its_words(name, names)
    raise UserError(f"unknown task {name!r}; nearest: {near} (dfp tasks lists all)")


def _with_its_words(name: str, names: list[str]) -> str:
    """Return the three names with the most words of a name, joined by commas."""
    words = set(re.findall(r"[^-_ ]+", name))
    shared = sorted(names, key=lambda known: -len(words & set(re.findall(r"[^-]+", known))))
    return ", ".join(shared[:3])


def find_task_of_dataset(name: str) -> Task:
    """Return a task by the name of its dataset, by a short name of that, or by the task's name.

    Raises:
        UserError: with the nearest names.
    """
    tasks = all_tasks()
    if name in tasks:
        return tasks[name]
    named: dict[str, Task] = {}
    for benchmark in BENCHMARKS.values():
        named |= benchmark.datasets()
    if name in named:
        return named[name]
    raise UserError(f"unknown dataset {name!r}; nearest: {nearest(name, named, most=3)}")


def missing_data(task: Task) -> UserError:
    """Return the error that names the three ways to get a task's data."""
    return UserError(
        f"no data for {task.name}: download it (dfp data download {task.dataset}), "
        f"collect it here (dfp data collect {task.dataset}), or name a file (--data PATH)"
    )


def make_environment(task: Task, *, render_size: int = RENDER_SIZE) -> Environment:
    """Make the environment of a task.

    Args:
        task: of any benchmark that is registered.
        render_size: width and height of its images in pixels, where they can be chosen.

    Raises:
        UserError: if the simulator is not installed, saying how to install it.
    """
    return benchmark_of(task).make_environment(task, render_size=render_size)


def environment_maker(task: Task, *, render_size: int = RENDER_SIZE) -> Callable[[], Environment]:
    """Return a function that makes the environment of a task, here or in a worker process.

    It can be pickled, and brings its benchmark along: a process that was not there when the
    benchmark was registered can call it.
    """
    benchmark = benchmark_of(task)
    return functools.partial(benchmark.make_environment, task, render_size=render_size)
