"""A run as it goes on, followed from its folder: a live view on a terminal, else plain lines."""

import math
import time
from collections.abc import Callable, Iterator

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from driftpolicy.errors import UserError
from driftpolicy.progress import format_count, format_seconds
from driftpolicy.report.status import Status, statuses
from driftpolicy.runs import PHASES, Evaluation, Run

_LOOK_S = 1.0  # between looks at the folder
_PLAIN_S = 30.0  # between lines where there is no terminal
_METRICS = 12  # of the last row of train.csv, at most


def watch(run: Run, console: Console, *, wait: Callable[[float], None] = time.sleep) -> None:
    """Show a run until it is finished or stopped.

    Args:
        run: in its folder.
        console: where to show it.
        wait: waits for some seconds between two looks.

    Raises:
        UserError: if a file of the run is damaged, naming it.
    """
    (status,) = statuses([run])
    _print_title(status, console)
    shown, printed = 0, 0.0
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while True:
            if status.problem:
                raise UserError(status.problem)
            evaluations = run.evaluations
            for row in evaluations[shown:]:
                console.print(_evaluation(row), soft_wrap=True)
            shown = len(evaluations)
            if status.state != "running":
                break
            if console.is_terminal:
                live.update(_view(status), refresh=True)
            elif time.monotonic() - printed >= _PLAIN_S:
                printed = time.monotonic()
                console.print(Text(f"  {_line(status)}"), soft_wrap=True)
            wait(_LOOK_S)
            (status,) = statuses([run])
    console.print(Text(_end(status)), soft_wrap=True)


def _print_title(status: Status, console: Console) -> None:
    config = status.config
    title = f"{config.method} on {config.task}, seed {config.seed}" if config else ""
    console.print(Text(title or str(status.run.path), style="bold"), soft_wrap=True)


def _evaluation(row: Evaluation) -> Text:
    return Text.assemble(
        f"  step {row.step:>9,} {row.phase:<7}  success ",
        (f"{row.percent:.0f}%", "bold"),
        *(
            f"  {name} {value:.4g}"
            for name, value in (("return", row.return_), ("length", row.length))
            if not math.isnan(value)
        ),
    )


def _line(status: Status) -> str:
    """Return where a run is in one line."""
    total = f"/{status.config.total_steps:,}" if status.config else ""
    words = [f"{status.phase} {status.step:,}{total}", *_pace(status)]
    return "  ".join(words)


def _pace(status: Status) -> Iterator[str]:
    if status.rate is not None:
        yield f"{status.rate:.3g} steps/s"
    if status.left is not None:
        yield f"{format_seconds(status.left)} left"


def _view(status: Status) -> Group:
    """Return a bar for each phase, and the last row of train.csv below."""
    bars = Table.grid(padding=(0, 2, 0, 0))
    config = status.config
    starts = {PHASES[0]: 0, PHASES[1]: config.offline_steps} if config else {}
    totals = {PHASES[0]: config.offline_steps, PHASES[1]: config.online_steps} if config else {}
    for phase, start in starts.items():
        total = totals[phase]
        if total:
            done = min(max(status.step - start, 0), total)
            here = "  ".join(_pace(status)) if phase == status.phase else ""
            bars.add_row(
                f"  {phase}",
                ProgressBar(total=total, completed=done, width=20),
                f"{format_count(done)}/{format_count(total)}",
                Text(here, style="dim"),
            )
    return Group(bars, _metrics(status.run))


def _metrics(run: Run) -> Table:
    """Return the newest means of ``train.csv``, two beside each other."""
    table = Table.grid(padding=(0, 2, 0, 0))
    training = run.training
    last = [(name, values[-1]) for name, values in training.metrics.items() if len(values)]
    known = [(name, value) for name, value in last if not math.isnan(value)][:_METRICS]
    for left, right in zip(known[::2], [*known[1::2], ("", math.nan)], strict=False):
        cells = []
        for name, value in (left, right):
            cells += [f"  {name}", "" if math.isnan(value) else f"{value:.4g}"]
        table.add_row(*cells, style="dim")
    return table


def _end(status: Status) -> str:
    path = status.run.path
    if status.state == "finished":
        return f"Finished: {path}"
    if status.state == "evidence":
        return f"{path} holds evaluations alone: nothing goes on here"
    return f"Stopped at step {status.step:,}; go on with: dfp resume {path}"
