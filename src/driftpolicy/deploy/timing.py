"""What a control loop needs beside its rule: a clock, decisions in a thread, signals."""

import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np


@runtime_checkable
class Clock(Protocol):
    """Seconds from some moment on."""

    def now(self) -> float:
        """Return the time."""
        ...

    def sleep_until(self, moment: float) -> None:
        """Return at ``moment``, or at once if it has passed."""
        ...


class SystemClock:
    """The machine's."""

    def now(self) -> float:
        """Seconds; never set back."""
        return time.perf_counter()

    def sleep_until(self, moment: float) -> None:
        """Sleep."""
        while (left := moment - self.now()) > 0:
            time.sleep(left)


class Decided(NamedTuple):
    """A decision's result."""

    chunk: np.ndarray
    asked: float
    """When its observation was about to be read."""
    done: float
    """When it was there."""


@runtime_checkable
class Decider(Protocol):
    """Makes one decision at a time, while the loop goes on."""

    def ask(self, asked: float, observation: np.ndarray) -> None:
        """Begin a decision; the one before must be over."""
        ...

    def poll(self) -> Decided | None:
        """Its result if it is over; raises what it raised."""
        ...

    def wait(self) -> Decided:
        """Its result as soon as it is over; raises what it raised."""
        ...

    def close(self) -> None:
        """End, after the decision under way."""
        ...


class ThreadDecider:
    """Decides in a thread of its own."""

    def __init__(self, decide: Callable[[np.ndarray], np.ndarray], clock: Clock):
        """Start the thread."""
        self._decide = decide
        self._clock = clock
        self._asked: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Decided | BaseException] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="driftpolicy-decider", daemon=True)
        self._thread.start()

    def ask(self, asked: float, observation: np.ndarray) -> None:
        """Hand the observation to the thread."""
        self._asked.put((asked, observation))

    def poll(self) -> Decided | None:
        """Look whether the thread has answered."""
        return None if self._answers.empty() else self.wait()

    def wait(self) -> Decided:
        """Wait for the thread's answer."""
        answer = self._answers.get()
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def close(self) -> None:
        """End the thread and wait for its end."""
        self._asked.put(None)
        self._thread.join()

    def _serve(self) -> None:
        while (request := self._asked.get()) is not None:
            asked, observation = request
            try:
                chunk = self._decide(observation)
                self._answers.put(Decided(chunk, asked, self._clock.now()))
            except BaseException as error:  # raised again where the answer is taken
                self._answers.put(error)


@contextmanager
def listening(end: Callable[[str], Any]) -> Iterator[None]:
    """Take Ctrl-C and SIGTERM as a wish to end, told by name; only the main thread hears them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def note(number: int, _: Any) -> None:
        end(signal.Signals(number).name)

    before = {n: signal.signal(n, note) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
