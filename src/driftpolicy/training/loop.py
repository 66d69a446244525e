"""The algorithm: imitate offline, then improve online; for one run or several side by side."""

from collections.abc import Callable, Hashable, Iterator, Sequence

from driftpolicy.training.accelerator import has_accelerator
from driftpolicy.training.alike import program_of
from driftpolicy.training.offline import offline_phase
from driftpolicy.training.online import online_phase
from driftpolicy.training.records import Records
from driftpolicy.training.side_by_side import SideBySide


def offline_to_online(group: SideBySide) -> Iterator[None]:
    """Train runs from where they are to their end; yield at every safe point."""
    yield from offline_phase(group)
    if not all(run.online for run in group.going):
        group.learner.start_online()
    yield from online_phase(group)


def train(
    records: Sequence[Records],
    *,
    stop: Callable[[], bool],
    report: Callable[[], None],
    accelerate: bool | None = None,
) -> bool:
    """Train until the end or until ``stop()`` says so; checkpoints either way.

    Args:
        records: of the runs, each of which comes to what it would come to alone.
        stop: asked at every safe point.
        report: called at every safe point, to show progress.
        accelerate: whether to train runs that are alike as one program, in the form for
            accelerators; None does so where JAX computes on something else than a CPU.

    Returns:
        Whether all runs are complete.

    Raises:
        UserError: if a loss is not finite, a process died, or the disk is full; the other runs are
            trained to their end first.
    """
    if accelerate is None:
        accelerate = has_accelerator()
    runs = [one.run for one in records]
    groups = side_by_side(records, accelerate=accelerate)
    for run in runs:
        run.tick()
    training = [offline_to_online(group) for group in groups]
    while any(run.going for run in runs) and not stop():
        for algorithm in training:
            next(algorithm, None)
        report()
    for group in groups:
        group.save()
    for run in runs:
        if run.error is not None:
            raise run.error
    return all(run.finished for run in runs)


def side_by_side(records: Sequence[Records], *, accelerate: bool) -> list[SideBySide]:
    """Group the runs that can be one program: on an accelerator those whose agents are alike."""
    if not accelerate:
        return [SideBySide([one], accelerate=False) for one in records]
    groups: dict[Hashable, list[Records]] = {}
    for one in records:
        run = one.run
        groups.setdefault((run.phase, run.online, program_of(run.config)), []).append(one)
    return [SideBySide(members, accelerate=True) for members in groups.values()]
