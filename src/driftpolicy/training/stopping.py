"""When to stop a run early: a signal, a time limit, or output that nobody reads any more."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console

from driftpolicy.progress import Lasting


class Stop:
    """Asked at every safe point: whether anything ends the run there."""

    def __init__(self, max_minutes: float | None):
        """Count ``max_minutes`` from now; None sets no limit."""
        self._deadline = None if max_minutes is None else time.monotonic() + 60 * max_minutes
        self.signal: signal.Signals | None = None
        self.output_lost: OSError | None = None
        """Why nothing can be printed any more."""

    def __call__(self) -> bool:
        """Return whether to stop."""
        return self.signal is not None or self.output_lost is not None or self.timed_out

    @property
    def timed_out(self) -> bool:
        """Whether the time limit has passed."""
        return self._deadline is not None and time.monotonic() >= self._deadline

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Note Ctrl-C, SIGTERM and SIGHUP instead of dying of them; a second one dies.

        SIGHUP comes when a terminal is closed; where it is ignored (``nohup``) it stays so.
        """

        def note(number: int, _: Any) -> None:
            self.signal = signal.Signals(number)
            signal.signal(number, before[number])

        if threading.current_thread() is not threading.main_thread():
            yield  # Python hears of signals in the main thread alone
            return
        numbers = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            numbers.append(signal.SIGHUP)
        before: dict[int, Any] = {number: signal.signal(number, note) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def outliving(self, console: Console) -> Iterator[None]:
        """Note that a console's pipe or terminal has gone instead of dying of it."""

        def note(error: OSError) -> None:
            self.output_lost = error

        file = console.file
        console.file = Lasting(file, note)  # type: ignore[assignment]  # as much of one as it uses
        try:
            yield
        finally:
            console.file = file
