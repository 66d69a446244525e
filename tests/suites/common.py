"""Cells of the tests, and what a driver reported."""

from collections.abc import Callable, Sequence

from driftpolicy.suites.driver import Driver, Job
from driftpolicy.suites.suite import Cell, make_cell

TASK = "cube-single-play-singletask-task1-v0"


def cells(count: int = 3, seeds: Sequence[int] = (), **overrides) -> list[Cell]:
    settings = {"offline_steps": 10, "online_steps": 10, **overrides}
    return [make_cell(TASK, "dfp", seed, overrides=settings) for seed in seeds or range(count)]


class Reports:
    """Notes every word about a job."""

    def __init__(self) -> None:
        self.words: list[tuple[int, str]] = []
        self.at_tick: Callable[[Driver], None] = lambda driver: None

    def __call__(self, driver: Driver, job: Job | None, word: str) -> None:
        if job is None:
            self.at_tick(driver)
        else:
            self.words.append((job.cell.seed, word))
