"""Runs that train side by side: one, or on an accelerator several of one shape."""

import math
from collections.abc import Callable, Sequence
from functools import partial

import jax
import numpy as np

from driftpolicy.errors import UserError
from driftpolicy.runs.checkpoints import list_checkpoints
from driftpolicy.training import schedule
from driftpolicy.training.blocks import BlockSpec
from driftpolicy.training.collection import TakenBack
from driftpolicy.training.learner import Learner, Steps
from driftpolicy.training.records import Records
from driftpolicy.training.state import RunState


class SideBySide:
    """Runs of one shape and in one phase, their agents in one :class:`Learner`.

    Each comes to what it would come to alone; one that fails leaves the others going.
    """

    def __init__(self, records: Sequence[Records], *, accelerate: bool):
        """Hand the runs' agents to the device.

        Args:
            records: of runs with one :func:`driftpolicy.training.alike.program_of`.
            accelerate: as :class:`Learner` says.
        """
        self._records = list(records)
        self.runs = [one.run for one in records]
        self.config = self.runs[0].config
        self.learner = Learner(
            [run.agent for run in self.runs],
            [run.keys for run in self.runs],
            accelerate=accelerate,
        )
        self._metrics: list[tuple[list[Steps], jax.Array]] = []  # of steps under way

    @property
    def going(self) -> list[RunState]:
        """The runs that have more to do."""
        return [run for run in self.runs if run.going]

    def attempt(self, action: Callable[[RunState], None]) -> None:
        """Do something for each run that is going; one for which it fails goes no further."""
        for run in self.going:
            attempt(run, partial(action, run))

    def learn(self, steps: Sequence[Steps], *, online: bool) -> None:
        """Start making gradient steps; wait for those before and note what they logged.

        Args:
            steps: of each run.
            online: whether they draw from the replay beside prior data.
        """
        if not any(one.count for one in steps):
            return
        size = schedule.online_block_size(self.config) if online else schedule.OFFLINE_BLOCK
        spec = BlockSpec(self.runs[0].windows, self.config.batch_size, size)
        prior = [
            (run.online_prior if online else run.offline_prior).rows(
                one.first, one.count, size, one.marks
            )
            for run, one in zip(self.runs, steps, strict=True)
        ]
        metrics = self.learner.update(steps, prior, spec)
        self.settle()
        self._metrics.append((list(steps), metrics))

    def settle(self) -> None:
        """Wait for the gradient steps under way and note what they logged."""
        under_way, self._metrics = self._metrics, []
        for steps, metrics in under_way:
            values = np.asarray(metrics)
            for records, one, rows in zip(self._records, steps, values, strict=True):
                note(records.run, records.metrics, one, rows[: one.count])

    def write_due(self, runs: Sequence[RunState]) -> None:
        """Write the logs, evaluations and checkpoints that are due for these runs."""
        if any(any(schedule.due(run.config, run.step)) for run in runs):
            self.settle()
        for place, records in enumerate(self._records):
            run = records.run
            due = schedule.due(run.config, run.step)
            if run in runs:
                if due.evaluation or due.checkpoint:
                    run.agent = self.learner.agent(place)
                attempt(run, records.write_due)

    def save(self) -> None:
        """Write a checkpoint of every run in which nothing has gone wrong, or was taken back."""
        self.settle()
        for place, records in enumerate(self._records):
            run, failure = records.run, records.run.error
            if failure is None or isinstance(failure, TakenBack):
                run.agent = self.learner.agent(place)
                run.error = None
                attempt(run, records.save)
            if isinstance(failure, TakenBack) and run.error is None:
                run.error = UserError(
                    f"{failure}; stopped with a checkpoint at step {run.step:,}, from where "
                    f"dfp resume {run.folder.path} goes on"
                )


def attempt(run: RunState, action: Callable[[], None]) -> None:
    """Do something for a run in which nothing has gone wrong; if it fails, keep why."""
    if run.error is None:
        try:
            action()
        except UserError as error:
            run.error = error


def note(run: RunState, names: Sequence[str], steps: Steps, rows: np.ndarray) -> None:
    """Add the metrics of gradient steps to a run's means; a loss that is not finite ends the run.

    Args:
        run: whose steps they are.
        names: of the metrics.
        steps: which.
        rows: ``[count, metrics]``.
    """
    columns = dict(zip(names, rows.T.tolist(), strict=True))
    for name, values in columns.items():
        for value in values:
            run.means.add(name, value)
    if not all(map(math.isfinite, columns["loss"])):
        saved = list_checkpoints(run.folder.checkpoints)
        run.error = UserError(
            f"the loss is not finite at step {steps.first + steps.count}: lower --learning-rate or "
            "look for extreme values in the data; "
            + (f"the last checkpoint is {saved[-1]}" if saved else "there is no checkpoint yet")
        )
