"""Processes with one object each: order, errors, deaths, and that none is left behind."""

import contextlib
import functools
import importlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from driftpolicy.envs import parallel
from driftpolicy.envs.parallel import Workers
from driftpolicy.errors import UserError
from driftpolicy.tasks.registry import find_task
from tests.waiting import PATIENCE, wait_until

HOUR = 3600  # of sleep, which every test cuts short


def workers(count: int, module: str) -> Workers:
    """Each worker's object is a module: its methods are the module's functions."""
    return Workers(count, importlib.import_module, module)


@pytest.fixture(scope="module")
def pair():
    with workers(2, "builtins") as pair:
        yield pair


@pytest.fixture
def door(pair, tmp_path):
    """The ends of a pipe, where of two workers the first waits for the second: not for ever."""
    os.mkfifo(tmp_path / "door")

    def end_in(seconds: float) -> None:
        for worker in range(len(pair)):
            pair.call(worker, eval, f"__import__('signal').alarm({seconds:.0f})")

    end_in(PATIENCE)
    pipe = f"__import__('pathlib').Path({str(tmp_path / 'door')!r})"
    yield f"{pipe}.read_text()", f"{pipe}.write_text('')"
    end_in(0)


def test_results_come_in_the_order_of_the_calls(pair, door):
    """The first call ends with the last."""
    read, write = door
    calls = [f"{read} or 0", "1", "2", "3", f"{write} or 4"]
    assert list(pair.map(eval, [(call,) for call in calls])) == [0, 1, 2, 3, 4]


def test_all_workers_work_at_once(pair, door):
    """No call ends before the other has begun."""
    names = list(pair.map(eval, [(f"{end} or __import__('os').getpid()",) for end in door]))
    assert len(set(names)) == 2
    assert os.getpid() not in names


def test_fewer_calls_than_workers(pair):
    assert list(pair.map(abs, [(-3,)])) == [3]
    assert list(pair.map(abs, [])) == []


def test_one_thread_each_and_the_parent_keeps_its_own(pair):
    before = dict(os.environ)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        assert pair.call(0, eval, f"__import__('os').environ['{name}']") == "1"
    with workers(1, "math"):
        assert dict(os.environ) == before
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_workers_do_not_load_jax():
    loaded = "'jax' in __import__('sys').modules"
    with Workers(1, importlib.import_module, "driftpolicy.tasks.ogbench.collect") as one:
        assert one.call(0, object.__getattribute__, "Collector").__name__ == "Collector"
    modules = "driftpolicy.tasks.registry, driftpolicy.tasks.ogbench.collect"
    code = f"import {modules}; print({loaded})"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "False\n"


def test_any_error_crosses_over_with_its_traceback(pair):
    with pytest.raises(RuntimeError, match=r"(?s)Traceback.*ZeroDivisionError"):
        list(pair.map(eval, [("1 / 0",)]))
    assert pair.call(0, abs, -1) == 1  # the worker lives on


def test_results_of_calls_that_somebody_gave_up_reach_nobody_else(pair, door):
    """The first worker fails; the second is busy then, and answers while others wait."""
    read, write = door
    pair.submit(0, eval, "1 / 0")
    pair.submit(1, eval, f"{read} or 'late'")
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        pair.ready()
    assert pair.call(0, eval, f"{write} or 'opened'") == "opened"
    assert pair.call(1, abs, -2) == 2
    for expression in ("1 / 0", f"{read}"):  # the failure itself is what nobody waits for
        pair.submit(0, eval, expression)
    pair.submit(1, eval, write)
    pair.abandon()
    assert list(pair.map(abs, [(-i,) for i in range(4)])) == [0, 1, 2, 3]


def test_user_errors_cross_over_as_such():
    with workers(1, "driftpolicy.tasks.registry") as one:
        with pytest.raises(UserError, match="unknown task 'nonsense'") as error:
            one.call(0, find_task, "nonsense")
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("up", [True, False])
def test_a_killed_worker_is_said_in_one_line(up):
    with workers(2, "time") as two:
        if up:
            two.call(1, time.perf_counter)
        results = two.map(time.sleep, [(0,), (HOUR,)])
        next(results)
        two._processes[1].kill()
        with pytest.raises(UserError, match=r"died \(exit code -9\)") as error:
            next(results)
        assert "\n" not in str(error.value)
        with pytest.raises(UserError, match="died"):
            two.submit(1, time.sleep, 0)


def test_closing_ends_busy_workers_together(monkeypatch):
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(parallel, "time", SimpleNamespace(monotonic=lambda: clock.now))
    waits = []

    def join(real, timeout=None):
        if timeout is None:
            real()
        else:  # in vain
            waits.append(timeout)
            clock.now += timeout

    with workers(3, "time") as three:
        for worker in range(3):
            three.call(worker, time.perf_counter)  # is up
            three.submit(worker, time.sleep, HOUR)
        processes = list(three._processes)
        for process in processes:
            process.join = functools.partial(join, process.join)
    assert waits == [1, 0, 0]  # not one second after the other
    assert all(process.exitcode == -signal.SIGKILL for process in processes)
    assert len(three) == 0


PARENT = """
import importlib, signal, sys
from driftpolicy.envs.parallel import Workers
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # whatever the shell has set
    signal.signal(number, signal.default_int_handler)
with Workers(2, importlib.import_module, "builtins") as workers:
    try:
        list(workers.map(eval, [(call,) for call in sys.argv[1:]]))
        print("idle", flush=True)
        sys.stdin.read()
    except KeyboardInterrupt:
        print("interrupted", flush=True)
        answers = []
        while len(answers) < len(workers):
            answers += workers.ready()
        print("and answered")
"""


@contextlib.contextmanager
def parent(*calls: str):
    """A program whose two workers make these calls; in a process group of its own.

    The workers hold its output open.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT, *calls],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@contextlib.contextmanager
def busy_parent(folder: Path):
    """Both workers are in calls, which end when the second value is closed."""
    pipes = [folder / name for name in ("one", "two")]
    for pipe in pipes:
        os.mkfifo(pipe)
    reads = (f"open({str(pipe)!r}).read()" for pipe in pipes)
    with parent(*reads) as process, contextlib.ExitStack() as calls:
        for pipe in pipes:
            calls.callback(os.close, writing_end(pipe, process))
        yield process, calls


def writing_end(pipe: Path, process: subprocess.Popen) -> int:
    """Of a pipe, as soon as somebody reads from it."""
    ends: list[int] = []

    def is_read() -> bool:
        with contextlib.suppress(OSError):  # nobody yet
            ends.append(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
        return bool(ends)

    wait_until(is_read, process)
    return ends[0]


def test_idle_workers_end_when_their_parent_is_killed():
    with parent("0", "0") as process:
        assert process.stdout.readline() == "idle\n"
        process.kill()
        output, _ = process.communicate(timeout=PATIENCE)  # returns when the last worker is gone
        assert output == ""


def test_busy_workers_end_when_their_parent_is_killed(tmp_path):
    """Though their calls never end."""
    with busy_parent(tmp_path) as (process, _):
        process.kill()
        output, _ = process.communicate(timeout=PATIENCE)
        assert output == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_to_all_are_for_the_parent_alone(tmp_path, number):
    with busy_parent(tmp_path) as (process, calls):
        os.killpg(process.pid, number)
        assert process.stdout.readline() == "interrupted\n"
        calls.close()
        output, _ = process.communicate(timeout=PATIENCE)
        assert output == "and answered\n"
        assert process.returncode == 0


def test_what_an_environment_starts_is_not_deaf(pair):
    """A simulator's server ends when the environment terminates it."""
    code = "import time; time.sleep(3600)"
    program = (
        f"(lambda p: (p.terminate(), p.wait()))(__import__('subprocess').Popen("
        f"[__import__('sys').executable, '-c', {code!r}]))[1]"
    )
    assert pair.call(0, eval, program) == -signal.SIGTERM


def test_workers_that_are_left_open_do_not_keep_python_from_ending():
    code = (
        "import importlib; from driftpolicy.envs.parallel import Workers;"
        "workers = Workers(1, importlib.import_module, 'builtins'); workers.call(0, abs, -1)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=PATIENCE).returncode == 0


def test_who_waits_in_vain_is_told(monkeypatch):
    monkeypatch.setattr(parallel, "wait", lambda connections, timeout: [])
    with workers(1, "builtins") as one:
        one.patience = 30.0
        with pytest.raises(UserError, match=r"has not answered for 30 s.*--environment-timeout"):
            one.call(0, abs, -1)
