"""What a person sees while a run trains: a live bar on a terminal, plain lines in a log file."""

import time
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from driftpolicy.config import TrainConfig
from driftpolicy.progress import format_seconds
from driftpolicy.tasks.registry import find_task
from driftpolicy.training import schedule
from driftpolicy.training.records import Records

_PLAIN_EVERY = 30.0  # seconds between lines where there is no terminal


class TrainingDisplay:
    """Progress with rates, time left and the success so far. Use as a context manager."""

    def __init__(self, console: Console, title: str):
        """``title`` names the run."""
        self._console = console
        self._title = title
        self._progress = Progress(
            TextColumn("{task.description:<7}"),
            BarColumn(bar_width=24),
            TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
            TextColumn("{task.fields[note]}", style="dim"),
            console=console,
            disable=not console.is_terminal,
        )
        self._tasks = {}
        self._since: tuple[str, int, float] | None = None  # phase, step, time of the rate's start
        self._printed = 0.0
        self._seen_evals: dict[int, int] = {}  # by run

    def __enter__(self) -> "TrainingDisplay":
        """Start drawing."""
        self._console.print(Text(self._title, style="bold"))
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Stop drawing."""
        self._progress.stop()

    def __call__(self, records: Sequence[Records]) -> None:
        """Show where the runs are: the evaluations of each, the progress of the last."""
        slowest = min(records, key=lambda one: one.run.step)
        run, runs = slowest.run, [one.run for one in records]
        c = run.config
        phase = schedule.ONLINE if run.finished else run.phase
        start, total = (
            (0, c.offline_steps) if phase == schedule.OFFLINE else (c.offline_steps, c.online_steps)
        )
        now = time.monotonic()
        if self._since is None or self._since[0] != phase:
            for task in self._tasks.values():
                self._progress.update(task, completed=c.offline_steps, note="done")
            self._tasks[phase] = self._progress.add_task(phase, total=total, note="")
            self._since = (phase, run.step, now)
        done = run.step - start
        success = slowest.last_log.get("episode_success", float("nan"))
        note = self._note(run.step, total - done, now, success)
        self._progress.update(self._tasks[phase], completed=done, note=note)
        alike = len({(one.config.task, one.config.method) for one in runs}) == 1
        for index, one in enumerate(runs):
            which = f"  {_label(one.config, alike=alike)}" if len(runs) > 1 else ""
            if one.last_eval and self._seen_evals.get(index) != one.last_eval["step"]:
                self._seen_evals[index] = one.last_eval["step"]
                self._print_evaluation(one.last_eval, which)
                # Evaluation stopped the clock: start the rate anew.
                self._since = (phase, run.step, time.monotonic())
        if not self._console.is_terminal and now - self._printed > _PLAIN_EVERY:
            self._printed = now
            self._console.print(f"  {phase} {done:,}/{total:,} {note}", highlight=False)

    def _print_evaluation(self, evaluation: dict[str, Any], which: str) -> None:
        self._console.print(
            f"  step {evaluation['step']:>9,} {evaluation['phase']:<7}{which}  success "
            f"[bold]{100 * evaluation['success']:.0f}%[/bold]  return "
            f"{evaluation['return']:.1f}  length {evaluation['length']:.0f}",
            highlight=False,
        )

    def _note(self, step: int, left: int, now: float, success: float) -> str:
        assert self._since is not None
        _, first, since = self._since
        parts = []
        if step > first and now > since:
            rate = (step - first) / (now - since)
            parts.append(f"{rate:.0f} steps/s" if rate >= 10 else f"{rate:.1f} steps/s")
            parts.append(f"{format_seconds(left / rate)} left")
        if success == success:
            parts.append(f"training success {100 * success:.0f}%")
        return "  ".join(parts)


def _label(config: TrainConfig, *, alike: bool) -> str:
    """Return which run it is: by its seed if task and method are those of the others."""
    seed = f"seed {config.seed}"
    return seed if alike else f"{config.method} {find_task(config.task).title} {seed}"
