"""Objects in worker processes: environments that run in parallel, and nothing else.

Workers are started fresh (not forked: JAX's threads would not survive that), import no JAX, ignore
Ctrl-C, SIGTERM and SIGHUP (the parent decides when to stop) and end when their parent does, however
it ends and whatever they are doing.

A call names the method by the function itself, as in ``workers.call(0, Player.begin, seed)``, so
that a type checker compares arguments and result; the worker looks the method up by its name.
"""

import atexit
import contextlib
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, TypeVarTuple

from driftpolicy.errors import UserError

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_Target = TypeVar("_Target")
_Arguments = TypeVarTuple("_Arguments")
_Result = TypeVar("_Result")
_Parameters = ParamSpec("_Parameters")
_DYING_S = 60.0  # a busy machine takes its time from a broken pipe to an exit code
_SLICE_S = 1.0  # of waiting: what a suspended process misses counts as one
_PARENTS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}  # signals that are for the parent alone


def _serve(
    connection: Connection, factory: Callable[..., Any], arguments: tuple, keywords: dict[str, Any]
) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    for number in _PARENTS:  # by a handler: programs that the environment starts do not inherit it
        signal.signal(number, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _PARENTS)
    target = None
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            method, positional, named = connection.recv()
            try:
                if target is None:
                    target = factory(*arguments, **keywords)
                reply = ("result", getattr(target, method)(*positional, **named))
            except UserError as error:
                reply = ("user error", str(error))
            except (Exception, SystemExit):
                reply = ("error", traceback.format_exc())
            connection.send(reply)
    os._exit(0)  # without tearing down libraries that complain when they are


def _end_with_parent() -> None:
    """Wait for the parent's end, also while the object is at work."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(0)


@contextlib.contextmanager
def _inherited() -> Iterator[None]:
    """Processes started here compute with one thread and are deaf to signals, from birth."""
    resource_tracker.ensure_running()  # started by the first process otherwise; unblocks signals
    saved = {name: os.environ.get(name) for name in _THREADS}
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, _PARENTS)
    os.environ.update(dict.fromkeys(_THREADS, "1"))  # one environment, one core
    try:
        yield
    finally:
        for name, value in saved.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)  # a signal meanwhile arrives now


class Workers(Generic[_Target]):
    """``count`` processes, each holding one object that ``factory`` makes in the process.

    One call at a time per worker, or :meth:`abandon` between them. Use as a context manager.
    """

    def __init__(
        self,
        count: int,
        factory: Callable[_Parameters, _Target],
        *arguments: _Parameters.args,
        **keywords: _Parameters.kwargs,
    ):
        """Start the processes; nothing is made yet.

        Args:
            count: how many.
            factory: makes the object; importable by name, or an object that can be pickled.
            *arguments: of ``factory``.
            **keywords: of ``factory``.
        """
        context = multiprocessing.get_context("spawn")
        self.patience: float | None = None
        """Seconds to wait for any result before the workers are given up; None: for ever."""
        self._connections: list[Connection] = []
        self._processes = []
        self._owed = [0] * count  # replies to come of each worker
        self._unwanted = [0] * count  # how many of them nobody waits for any more
        # Otherwise Python's own end waits for processes that ignore its SIGTERM.
        atexit.register(self.close)
        with _inherited():
            for _ in range(count):
                ours, theirs = context.Pipe()
                process = context.Process(
                    target=_serve, args=(theirs, factory, arguments, keywords), daemon=True
                )
                process.start()
                theirs.close()
                self._connections.append(ours)
                self._processes.append(process)

    def __len__(self) -> int:
        """Return the number of workers."""
        return len(self._connections)

    def __enter__(self) -> "Workers[_Target]":
        """Return the workers, for ``with``."""
        return self

    def __exit__(self, *error: object) -> None:
        """End the processes."""
        self.close()

    def close(self) -> None:
        """End the processes; what they were doing is dropped."""
        atexit.unregister(self.close)
        for connection in self._connections:
            connection.close()
        deadline = time.monotonic() + 1  # for all of them together
        for process in self._processes:
            process.join(timeout=max(0, deadline - time.monotonic()))
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.join()
        self._connections, self._processes = [], []

    def submit(
        self,
        worker: int,
        method: Callable[Concatenate[_Target, _Parameters], object],
        *arguments: _Parameters.args,
        **keywords: _Parameters.kwargs,
    ) -> None:
        """Call a method of a worker's object; its result comes out of :meth:`ready`.

        Raises:
            UserError: if the worker was killed.
        """
        try:
            self._connections[worker].send((method.__name__, arguments, keywords))
        except (BrokenPipeError, ConnectionResetError):
            raise self._died(worker) from None
        self._owed[worker] += 1

    def abandon(self) -> None:
        """Drop the results of all calls under way: somebody failed amid them."""
        self._unwanted = list(self._owed)

    def ready(self) -> list[tuple[int, Any]]:
        """Wait for at least one result, and return all that are there, as (worker, result).

        Raises:
            UserError: what a worker raised as such, that a worker was killed, or that none answers.
            RuntimeError: with the worker's traceback, for any other error in it.
        """
        results = []
        while not results:
            for worker in map(self._connections.index, self._answered()):
                kind, value = self._receive(worker)
                if self._unwanted[worker]:
                    self._unwanted[worker] -= 1
                elif kind == "user error":
                    raise UserError(value)
                elif kind == "error":
                    raise RuntimeError(f"in an environment process:\n{value}")
                else:
                    results.append((worker, value))
        return results

    def _receive(self, worker: int) -> tuple[str, Any]:
        """Return a worker's next reply."""
        try:
            reply = self._connections[worker].recv()
        except (EOFError, ConnectionResetError):
            raise self._died(worker) from None
        self._owed[worker] -= 1
        return reply

    def _answered(self) -> list[Any]:
        """Wait for connections that can be read."""
        if self.patience is None:
            return wait(self._connections)
        left = self.patience
        while not (answered := wait(self._connections, min(left, _SLICE_S))):
            left -= _SLICE_S
            if left <= 0:
                raise UserError(
                    f"an environment has not answered for {self.patience:g} s: if it hangs, end "
                    "what it waits for; if it is only slow, allow it more (--environment-timeout, "
                    "or environment_timeout in the run's config.json)"
                )
        return answered

    def call(
        self,
        worker: int,
        method: Callable[Concatenate[_Target, _Parameters], _Result],
        *arguments: _Parameters.args,
        **keywords: _Parameters.kwargs,
    ) -> _Result:
        """Call a method and wait for its result; calls under way are abandoned.

        Raises:
            UserError: as :meth:`ready`.
            RuntimeError: as :meth:`ready`.
        """
        self.abandon()
        self.submit(worker, method, *arguments, **keywords)
        ((_, result),) = self.ready()
        return result

    def map(
        self,
        method: Callable[[_Target, *_Arguments], _Result],
        calls: Sequence[tuple[*_Arguments]],
    ) -> Iterator[_Result]:
        """Make calls, a tuple of arguments each, on all workers; calls under way are abandoned.

        Yields:
            Their results, in the order of ``calls``.
        """
        self.abandon()
        waiting: dict[int, Any] = {}
        running: dict[int, int] = {}
        handed = 0
        for worker in range(min(len(self), len(calls))):
            self.submit(worker, method, *calls[handed])
            running[worker] = handed
            handed += 1
        for index in range(len(calls)):
            while index not in waiting:
                for worker, result in self.ready():
                    waiting[running.pop(worker)] = result
                    if handed < len(calls):
                        self.submit(worker, method, *calls[handed])
                        running[worker] = handed
                        handed += 1
            yield waiting.pop(index)

    def _died(self, worker: int) -> UserError:
        self._processes[worker].join(timeout=_DYING_S)
        code = self._processes[worker].exitcode
        return UserError(
            f"an environment process died (exit code {code}): killed, out of memory, or ended by "
            "the environment; if memory is short, use fewer processes"
        )


class InProcess(Generic[_Target]):
    """A single object in this process, used like workers: a call is made as it is submitted."""

    def __init__(self, target: _Target):
        """Hold the object ``target``."""
        self.patience: float | None = None
        """As of :class:`Workers`, but nobody waits here."""
        self._target = target
        self._results: list[tuple[int, Any]] = []

    def submit(
        self,
        worker: int,
        method: Callable[Concatenate[_Target, _Parameters], object],
        *arguments: _Parameters.args,
        **keywords: _Parameters.kwargs,
    ) -> None:
        """Call a method; its result comes out of :meth:`ready`."""
        self._results.append(
            (worker, getattr(self._target, method.__name__)(*arguments, **keywords))
        )

    def ready(self) -> list[tuple[int, Any]]:
        """Return all results so far."""
        results, self._results = self._results, []
        return results

    def call(
        self,
        worker: int,
        method: Callable[Concatenate[_Target, _Parameters], _Result],
        *arguments: _Parameters.args,
        **keywords: _Parameters.kwargs,
    ) -> _Result:
        """Call a method and return its result."""
        self.submit(worker, method, *arguments, **keywords)
        ((_, result),) = self.ready()
        return result

    def close(self) -> None:
        """Nothing to end."""
