"""What a run writes at its boundaries: rows of train.csv and eval.csv, checkpoints."""

import math
from collections.abc import Sequence

from driftpolicy.envs.episodes import EpisodeRunner
from driftpolicy.envs.parallel import Workers
from driftpolicy.errors import UserError
from driftpolicy.runs import Run
from driftpolicy.runs.tables import EVAL_COLUMNS, CsvLog
from driftpolicy.training import schedule
from driftpolicy.training.blocks import metric_names
from driftpolicy.training.collection import EPISODE_METRICS
from driftpolicy.training.evaluation import evaluate, summarise
from driftpolicy.training.logs import Means, Sink
from driftpolicy.training.state import RunState


class Records:
    """The logs of a run, cut back to the state that it is continued from."""

    def __init__(self, run: RunState, workers: Workers[EpisodeRunner], sinks: Sequence[Sink] = ()):
        """Open the logs.

        Args:
            run: at its beginning, or as its checkpoint holds it.
            workers: processes to evaluate in.
            sinks: further logs.

        Raises:
            UserError: if a log cannot be written.
        """
        self.metrics = metric_names(run.agent, *run.dims)
        self.last_log: dict[str, float] = {}
        self._columns = (*self.metrics, *EPISODE_METRICS)
        self.run = run
        self._saved_step = Run(run.folder.path).saved_step
        self._workers = workers
        self._sinks = sinks
        folder, logs = run.folder, run.logs
        self._evaluations = CsvLog(folder.eval_csv, EVAL_COLUMNS, logs.get("eval", b""))
        columns = ("step", "phase", *self._columns)
        self._training = CsvLog(folder.train_csv, columns, logs.get("train", b""))
        self.remarks = [log.remark for log in (self._evaluations, self._training) if log.remark]
        """What the user should know of the logs as they were found."""

    def write_due(self) -> None:
        """Write what is due at the run's step, with its agent as it is now.

        Raises:
            UserError: if the disk is full or a process died.
        """
        run = self.run
        due = schedule.due(run.config, run.step)
        phase = schedule.phase_of(run.config, run.step)
        run.tick()
        if due.log:
            self._log(phase)
        if due.evaluation:
            self._evaluate(phase)
        if run.step == run.config.offline_steps and run.config.online_steps:
            run.checkpoint(self._logs()).write(run.folder.offline_end)
        if due.checkpoint:
            self.save()
        run.tick()

    def save(self) -> None:
        """Write a checkpoint, unless there is one of this step.

        Raises:
            UserError: if the disk is full; the earlier checkpoints stay.
        """
        run = self.run
        if run.step == self._saved_step:
            return
        run.tick()
        for sink in self._sinks:
            sink.flush()
        run.checkpoint(self._logs()).save(run.folder.checkpoints)
        self._saved_step = run.step

    def film(self) -> None:
        """Hand the run's film to the further logs."""
        for sink in self._sinks:
            sink.film(self.run.step, self.run.folder.video)

    def _logs(self) -> dict[str, bytes]:
        """Return the contents of the logs, once they are safely on disk."""
        return {"eval": self._evaluations.content(), "train": self._training.content()}

    def _log(self, phase: str) -> None:
        run = self.run
        values = {name: run.means.mean(name) for name in self._columns}
        self._training.write({"step": run.step, "phase": phase, **values})
        for sink in self._sinks:
            sink.log(run.step, {k: v for k, v in values.items() if not math.isnan(v)})
        run.means = Means()
        self.last_log = values

    def _evaluate(self, phase: str) -> None:
        run = self.run
        try:
            episodes = evaluate(
                run.agent.decision_rule,
                self._workers,
                seed=run.config.seed,
                episodes=run.config.eval_episodes,
                key=run.keys.evaluate,
            )
        except UserError as error:
            saved = f"{self._saved_step:,}" if self._saved_step >= 0 else "none yet"
            raise UserError(
                f"in the evaluation at step {run.step:,}: {error} (last checkpoint: {saved}; "
                f"dfp resume {run.folder.path} goes on from there)"
            ) from error
        result = summarise(episodes)
        run.last_eval = {"step": run.step, "phase": phase, **result}
        self._evaluations.write({**run.last_eval, "wall_s": round(run.wall_s, 1)})
        for sink in self._sinks:
            sink.log(run.step, {f"eval/{name}": value for name, value in result.items()})

    def close(self) -> None:
        """Close the logs."""
        self._evaluations.close()
        self._training.close()
        for sink in self._sinks:
            sink.close()
