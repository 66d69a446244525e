"""The loop that trains one run, or several side by side on the same prior data."""

from collections.abc import Callable, Sequence
from typing import Any

from driftpolicy.errors import UserError
from driftpolicy.training.trainer import Trainer
from driftpolicy.training.updates import update


def train(
    trainers: Sequence[Trainer],
    stop: Callable[[], bool],
    report: Callable[[Sequence[Trainer]], None],
) -> bool:
    """Train until the end or until ``stop()`` says so; checkpoints either way.

    Args:
        trainers: runs on the same prior data; each comes to what it would come to alone.
        stop: asked at every safe point.
        report: called at every safe point, to show progress.

    Returns:
        Whether all runs are complete.

    Raises:
        UserError: if a loss is not finite, a process died, or the disk is full; the other runs are
            trained to their end first.
    """
    failed: dict[int, UserError] = {}
    for trainer in trainers:
        trainer.tick()
    while True:
        active = [t for i, t in enumerate(trainers) if not t.finished and i not in failed]
        if not active or stop():
            break
        for trainer, error in advance_together(active):
            failed[trainers.index(trainer)] = error
        report(trainers)
    for i, trainer in enumerate(trainers):
        if i not in failed:
            trainer.save()
    if failed:
        raise next(iter(failed.values()))
    return not active


def advance_together(trainers: Sequence[Trainer]) -> list[tuple[Trainer, UserError]]:
    """Each run up to its next safe point, their gradient steps made together; what went wrong."""
    failed = []
    waiting: list[Any] = [(trainer, trainer.advance(), None) for trainer in trainers]
    while waiting:
        asking, requests = [], []
        for trainer, advance, answer in waiting:
            try:
                requests.append(advance.send(answer))
                asking.append((trainer, advance))
            except StopIteration:
                pass
            except UserError as error:
                failed.append((trainer, error))
        answers = update(requests)
        waiting = [(*pair, answer) for pair, answer in zip(asking, answers, strict=True)]
    return failed
