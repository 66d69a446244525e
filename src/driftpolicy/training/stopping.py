"""When to stop a run early: a signal, or a time limit."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Stop:
    """Asked at every safe point: whether a signal or the time limit ends the run there."""

    def __init__(self, max_minutes: float | None):
        """Count ``max_minutes`` from now; None sets no limit."""
        self._deadline = None if max_minutes is None else time.monotonic() + 60 * max_minutes
        self.signal: signal.Signals | None = None

    def __call__(self) -> bool:
        """Return whether to stop."""
        return self.signal is not None or self.timed_out

    @property
    def timed_out(self) -> bool:
        """Whether the time limit has passed."""
        return self._deadline is not None and time.monotonic() >= self._deadline

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Note Ctrl-C and SIGTERM instead of dying of them; a second one dies."""

        def note(number: int, _: Any) -> None:
            self.signal = signal.Signals(number)
            signal.signal(number, before[number])

        if threading.current_thread() is not threading.main_thread():
            yield  # Python hears of signals in the main thread alone
            return
        before: dict[int, Any] = {
            n: signal.signal(n, note) for n in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
