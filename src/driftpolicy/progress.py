"""Progress of one job: a bar on a terminal, now and then a plain line elsewhere."""

import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Column
from rich.text import Text

_Result = TypeVar("_Result")
WINDOW_S = 60.0
"""The rate is the mean over the last so many seconds ..."""
POINTS = 10
"""... or over so many updates, where they come more slowly."""
PLAIN_S = 10.0
"""Off a terminal, at most one line in so many seconds."""


def format_bytes(count: int | float) -> str:
    """Write a number of bytes in decimal units with three digits: ``999 B``, ``1.23 GB``."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 999.5 or unit == "TB":
            break
        count /= 1000
    return f"{count:.0f} {unit}" if unit == "B" or count >= 99.95 else f"{count:.3g} {unit}"


def format_count(count: int) -> str:
    """Write a number of steps in a few characters, rounded down: ``600``, ``6.5k``, ``1.25M``."""
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if count >= size:
            return f"{int(1000 * count / size) / 1000:.4g}{unit}"
    return str(count)


def format_seconds(seconds: int | float) -> str:
    """Write a duration as ``5 s``, ``4 min 05 s``, ``3 h 07 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def format_steps(steps: int) -> str:
    """Write a number of steps in a few letters: ``400``, ``12k``, ``1.3M``."""
    if steps < 1000:
        return str(steps)
    return f"{steps / 1e6:.3g}M" if steps >= 1_000_000 else f"{steps / 1e3:.3g}k"


@contextmanager
def busy(label: str, *, stream: Any = None) -> Iterator[None]:
    """Show on a terminal that something is under way that nobody can count, and for how long.

    Args:
        label: what it is.
        stream: a text file, by default stderr; if it is no terminal, nothing is shown.
    """
    console = Console(file=stream or sys.stderr)
    columns = (SpinnerColumn(), TextColumn(escape(label)), TimeElapsedColumn())
    shown = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    with shown:
        shown.add_task("", total=None)
        yield


class Lasting:
    """A text file that outlives its reader: what can be written no more is dropped.

    A pipe's reader that has gone and a terminal that was closed end no job.
    """

    def __init__(self, file: Any, lost: Callable[[OSError], None] = lambda _: None):
        """Write to ``file``; ``lost`` is told when that fails."""
        self._file = file
        self._lost = lost

    def write(self, text: str) -> int:
        """Write, or drop what cannot be written."""
        return self._try(lambda: self._file.write(text), len(text))

    def flush(self) -> None:
        """Flush, or drop what cannot be written."""
        self._try(self._file.flush, None)

    def _try(self, action: Callable[[], _Result], otherwise: _Result) -> _Result:
        try:
            return action()
        except OSError as error:
            drop_output(self._file)
            self._lost(error)
            return otherwise

    def __getattr__(self, name: str) -> Any:
        """Return everything else that the file has."""
        return getattr(self._file, name)


def drop_output(file: Any) -> None:
    """Let what a file still has to write go nowhere, so that it does not fail when Python ends."""
    with suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), file.fileno())


class JobProgress:
    """Shows how far a job is, its rate and the time left. Use as a context manager.

    ``update`` may be called as often as one likes, from one thread.
    """

    def __init__(
        self,
        label: str,
        total: int | None = None,
        *,
        unit: str = "bytes",
        stream: Any = None,
    ):
        """``unit`` is a plural noun, or ``bytes``; ``stream`` a text file, by default stderr."""
        self._label = label
        self._unit = unit
        self._total = total
        self._done: int | None = None
        self._points: deque[tuple[float, int]] = deque()
        self._stream: Any = Lasting(stream or sys.stderr)
        self._printed = time.monotonic()
        self._bar: Progress | None = None
        console = Console(file=self._stream)
        if console.is_terminal:
            self._bar = Progress(
                TextColumn(escape(label), table_column=Column(no_wrap=True)),
                BarColumn(bar_width=None),
                _StatusColumn(self),
                console=console,
                expand=True,
                transient=True,
            )

    def __enter__(self) -> "JobProgress":
        """Show it."""
        if self._bar:
            self._bar.start()
            self._bar.add_task("", total=self._total)
        return self

    def __exit__(self, *error: object) -> None:
        """Take the bar away."""
        if self._bar:
            self._bar.stop()

    def update(self, done: int, total: int | None = None) -> None:
        """``done`` of ``total`` (unchanged if not given); going back starts the rate anew."""
        now = time.monotonic()
        self._total = total if total is not None else self._total
        if self._done is not None and done < self._done:
            self._points.clear()
        self._done = done
        self._points.append((now, done))
        while self._points[0][0] < now - WINDOW_S and len(self._points) > POINTS:
            self._points.popleft()
        if self._bar:
            self._bar.update(self._bar.task_ids[0], completed=done, total=self._total)
        elif now - self._printed >= PLAIN_S or 0 < done == self._total:
            self._printed = now
            print(f"{self._label}: {self.status()}", file=self._stream, flush=True)

    def status(self) -> str:
        """Put the numbers into words: ``37/100 episodes, 12.3/min, 5 min 07 s left``."""
        done = self._done or 0
        in_bytes = self._unit == "bytes"
        amount = format_bytes(done) if in_bytes else str(done)
        if self._total is not None:
            amount += "/" + (format_bytes(self._total) if in_bytes else str(self._total))
        words = [amount if in_bytes else f"{amount} {self._unit}"]
        if len(self._points) >= 2:
            (start, first), (end, last) = self._points[0], self._points[-1]
            rate = (last - first) / max(end - start, 1e-9)
            if rate > 0:
                per_min = rate < 1
                number = f"{60 * rate:.3g}/min" if per_min else f"{rate:.3g}/s"
                words.append(f"{format_bytes(rate)}/s" if in_bytes else number)
                if self._total is not None and done < self._total:
                    left = (self._total - done) / rate - (time.monotonic() - end)
                    words.append(f"{format_seconds(max(left, 0))} left")
        return ", ".join(words)


class _StatusColumn(ProgressColumn):
    """The words of :meth:`JobProgress.status`, fresh at every refresh."""

    def __init__(self, job: JobProgress):
        super().__init__(table_column=Column(no_wrap=True))
        self._job = job

    def render(self, task: Task) -> Text:
        return Text(self._job.status())
