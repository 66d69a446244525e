"""What a person sees while a suite runs: a live table on a terminal, plain lines in a log file."""

import time
from collections.abc import Sequence

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from driftpolicy.progress import format_count, format_seconds
from driftpolicy.suites.driver import ATTEMPTS, Driver, Job

_PLAIN_S = 30.0  # between lines of the whole where there is no terminal
_STYLES = {
    "running": "cyan",
    "elsewhere": "blue",
    "finished": "green",
    "failed": "red",
    "foreign": "red",
    "waiting": "dim",
}
_ORDER = ("running", "elsewhere", "failed", "foreign", "finished", "waiting")
_WIDE = 105  # columns of a terminal
_AROUND = 4  # lines of the terminal that are not rows


class SuiteDisplay:
    """Shows a driver's jobs: a context manager that is called as the driver's ``report``."""

    def __init__(self, console: Console, name: str):
        """Show on ``console`` the jobs of the suite ``name``."""
        self._console = console
        self._name = name
        self._driver: Driver | None = None
        self._printed = time.monotonic()
        self._stopping = False  # whether it has been announced
        self._live = Live(self, console=console, refresh_per_second=2, transient=True)

    def __enter__(self) -> "SuiteDisplay":
        """Start drawing."""
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Take the table away."""
        self._live.stop()

    def __call__(self, driver: Driver, job: Job | None, word: str) -> None:
        """Draw the jobs; say what happened to one of them."""
        self._driver = driver
        if driver.stopping and not self._stopping:
            self._stopping = True
            self._console.print("Stopping: the runs save their state", highlight=False)
        if job is not None:
            self._console.print(f"  {self._sentence(job, word)}", highlight=False, soft_wrap=True)
        elif not self._console.is_terminal and time.monotonic() - self._printed > _PLAIN_S:
            self._printed = time.monotonic()
            self._console.print(summary(driver, self._name), highlight=False, soft_wrap=True)

    def _sentence(self, job: Job, word: str) -> str:
        name, error = escape(job.cell.name), escape(job.error)
        if word == "finished" and job.seen.success is not None:
            return f"{name} finished, success {100 * job.seen.success:.0f}%"
        if word == "ended early":
            return f"{name} ended early ({job.attempts} of {ATTEMPTS}): {error}"
        if word in ("failed", "foreign"):
            return f"[red]{name} {word}[/red]: {error}"
        if word == "continued":
            return f"{name} continued from step {job.seen.step:,}"
        return f"{name} {word}"

    def __rich__(self) -> Group:
        """Return the line of the whole and as many rows as fit."""
        if self._driver is None:
            return Group()
        wide = self._console.width >= _WIDE
        return Group(
            Text(summary(self._driver, self._name), style="bold"),
            jobs_table(self._driver, self._console.height - _AROUND, wide=wide),
        )


def summary(driver: Driver, name: str) -> str:
    """Return the state of the whole suite in one line."""
    others = ("running", "elsewhere", "waiting", "failed", "foreign")
    parts = [f"{driver.count('finished')} of {len(driver.jobs)} finished"]
    parts += [f"{driver.count(state)} {state}" for state in others if driver.count(state)]
    left = driver.left()
    if left:
        parts.append(f"about {format_seconds(left)} left")
    return f"{name}: {', '.join(parts)}"


def jobs_table(driver: Driver, rows: int, *, wide: bool) -> Table:
    """Return a table of the jobs that matter most now, by state and then in the suite's order.

    It has at most ``rows`` rows. ``wide`` adds bars and rates, for terminals with more than some
    100 columns.
    """
    table = Table(box=None, padding=(0, 2 if wide else 1, 0, 0), header_style="dim")
    table.add_column("task", no_wrap=True)
    table.add_column("method", no_wrap=True)
    table.add_column("seed", justify="right")
    table.add_column("state", no_wrap=True)
    for name in ("step", *(("", "steps/s") if wide else ()), "success", "left"):
        table.add_column(name, no_wrap=True, justify="right")
    for job in _first(driver.jobs, rows):
        step, total = job.seen.step, job.config.total_steps
        active = job.state in ("running", "elsewhere")
        rate, left = float(job.rate), job.left(driver.pace)
        bar = ProgressBar(total=total, completed=step, width=14)
        table.add_row(
            Text(job.cell.task.title.replace(" ", "-")),
            job.cell.label,
            str(job.cell.seed),
            Text(job.state, style=_STYLES[job.state]),
            f"{format_count(step)}/{format_count(total)}",
            *((bar, f"{rate:.3g}" if active and rate else "") if wide else ()),
            "" if job.seen.success is None else f"{100 * job.seen.success:.0f}%",
            format_seconds(left) if active and left else "",
        )
    return table


def _first(jobs: Sequence[Job], rows: int) -> list[Job]:
    return sorted(jobs, key=lambda job: _ORDER.index(job.state))[: max(rows, 1)]
