"""The offline phase: gradient steps on prior data."""

from collections.abc import Iterator

from driftpolicy.training import schedule
from driftpolicy.training.learner import Steps
from driftpolicy.training.side_by_side import SideBySide


def offline_phase(group: SideBySide) -> Iterator[None]:
    """Make the runs' gradient steps on prior data, a block at a time; yield at safe points."""
    while offline := [run for run in group.going if run.phase == schedule.OFFLINE]:
        counts = [
            schedule.offline_block(run.config, run.step) if run in offline else 0
            for run in group.runs
        ]
        group.learn(
            [
                Steps(first=run.step, count=count)
                for run, count in zip(group.runs, counts, strict=True)
            ],
            online=False,
        )
        for run, count in zip(group.runs, counts, strict=True):
            run.step += count
        group.write_due(offline)
        yield
