"""The online phase: act, store, and one gradient step for each environment step.

The policy is asked only between chunks. With ``overlap`` a chunk's gradient steps are made while
the next chunk is executed, which was therefore decided without them; else after the chunk, and the
next decision waits for them. Either way a gradient step draws from the replay as it was at its
environment step: without overlap nothing differs from making them one by one.
"""

from collections.abc import Iterator

import numpy as np

from driftpolicy.training import schedule
from driftpolicy.training.learner import Steps
from driftpolicy.training.side_by_side import SideBySide
from driftpolicy.training.state import RunState


def online_phase(group: SideBySide) -> Iterator[None]:
    """Train the runs online, a chunk of environment steps at a time; yield at safe points."""
    group.attempt(RunState.start_environments)
    if group.going:
        group.learner.mirror([run.replay for run in group.runs])
    while going := group.going:
        owed = decide(group)
        group.attempt(submit)
        group.learn(owed, online=True)
        group.attempt(collect)
        group.learner.update_mirror([run.replay for run in group.runs])
        at_once = [run for run in going if run.finished or not run.config.overlap]
        group.learn([pay(run, run in at_once) for run in group.runs], online=True)
        group.write_due(going)
        yield


def decide(group: SideBySide) -> list[Steps]:
    """Decide on a chunk wherever one has been executed; return the gradient steps now owed.

    A run that decides has to make the gradient steps of the chunk before.
    """
    observations = {}
    deciding = []
    for place, run in enumerate(group.runs):
        if run.going and run.collection is not None and run.collection.undecided:
            deciding.append(run)
            for environment in run.collection.undecided:
                seen = run.collection.observations[environment]
                observations[place, environment] = seen
    if observations:
        chunks = group.learner.decide(
            observations,
            steps=[run.step for run in group.runs],
            environments=group.config.num_envs,
        )
        for (place, environment), chunk in chunks.items():
            collection = group.runs[place].collection
            assert collection is not None
            collection.give(environment, chunk)
    return [pay(run, run in deciding) for run in group.runs]


def pay(run: RunState, now: bool) -> Steps:
    """Return the gradient steps that a run owes, which are then no longer owed; or none."""
    marks: list[np.ndarray] = []
    if now:
        marks, run.owed = run.owed, []
    block = np.zeros((schedule.online_block_size(run.config), run.config.num_envs, 3), np.int32)
    if marks:
        block[:] = marks[-1]
        block[: len(marks)] = marks
    return Steps(first=run.step - len(marks), count=len(marks), marks=block)


def submit(run: RunState) -> None:
    """Let the environments execute their chunks, no further than to the next boundary."""
    assert run.collection is not None
    run.collection.submit(schedule.steps_to_boundary(run.config, run.step), run.step)


def collect(run: RunState) -> None:
    """Wait for the environments; each step goes into the replay, and owes a gradient step."""
    assert run.collection is not None
    for _ in run.collection.results(run.means):
        if schedule.learns(run.config, run.step):
            run.owed.append(run.replay.marks())
        run.step += 1
