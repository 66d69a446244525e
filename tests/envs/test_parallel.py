"""Processes with one object each: order, errors, deaths, and that none is left behind."""

import contextlib
import importlib
import os
import signal
import subprocess
import sys
import time

import pytest

from driftpolicy.envs.parallel import Workers
from driftpolicy.errors import UserError


def workers(count: int, module: str) -> Workers:
    """Each worker's object is a module: its methods are the module's functions."""
    return Workers(count, importlib.import_module, module)


@pytest.fixture(scope="module")
def pair():
    with workers(2, "builtins") as pair:
        yield pair


def test_results_come_in_the_order_of_the_calls(pair):
    calls = [
        (f"__import__('time').sleep({pause}) or {i}",)
        for i, pause in enumerate([0.3, 0, 0.1, 0, 0])
    ]
    assert list(pair.map("eval", calls)) == [0, 1, 2, 3, 4]


def test_all_workers_work_at_once(pair):
    names = list(
        pair.map("eval", [("__import__('time').sleep(0.2) or __import__('os').getpid()",)] * 4)
    )
    assert len(set(names)) == 2
    assert os.getpid() not in names


def test_fewer_calls_than_workers(pair):
    assert list(pair.map("abs", [(-3,)])) == [3]
    assert list(pair.map("abs", [])) == []


def test_one_thread_each_and_the_parent_keeps_its_own(pair):
    before = dict(os.environ)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        assert pair.call(0, "eval", f"__import__('os').environ['{name}']") == "1"
    with workers(1, "math"):
        assert dict(os.environ) == before
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_workers_do_not_load_jax():
    loaded = "'jax' in __import__('sys').modules"
    with Workers(1, importlib.import_module, "driftpolicy.data.collect") as one:
        assert one.call(0, "__getattribute__", "Collector").__name__ == "Collector"
    code = f"import driftpolicy.data.collect, driftpolicy.envs.ogbench; print({loaded})"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "False\n"


def test_any_error_crosses_over_with_its_traceback(pair):
    with pytest.raises(RuntimeError, match=r"(?s)Traceback.*ZeroDivisionError"):
        list(pair.map("eval", [("1 / 0",)]))
    assert pair.call(0, "abs", -1) == 1  # the worker lives on


def test_user_errors_cross_over_as_such():
    with workers(1, "driftpolicy.envs.tasks") as one:
        with pytest.raises(UserError, match="unknown task 'nonsense'") as error:
            one.call(0, "find_task", "nonsense")
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("up", [True, False])
def test_a_killed_worker_is_said_in_one_line(up):
    with workers(2, "time") as two:
        if up:
            two.call(1, "perf_counter")
        results = two.map("sleep", [(0,), (60,)])
        next(results)
        two._processes[1].kill()
        with pytest.raises(UserError, match=r"died \(exit code -9\)") as error:
            next(results)
        assert "\n" not in str(error.value)
        with pytest.raises(UserError, match="died"):
            two.submit(1, "sleep", 0)


def test_closing_ends_busy_workers_together():
    with workers(3, "time") as three:
        for worker in range(3):
            three.call(worker, "perf_counter")  # is up
            three.submit(worker, "sleep", 60)
        processes = list(three._processes)
        start = time.monotonic()
    assert time.monotonic() - start < 2.5  # not one second after the other
    assert all(process.exitcode is not None for process in processes)
    assert len(three) == 0


PARENT = """
import importlib, signal, sys
from driftpolicy.envs.parallel import Workers
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
with Workers(2, importlib.import_module, "time") as workers:
    for worker in range(2):
        workers.call(worker, "perf_counter")
    try:
        print("up", flush=True)
        list(workers.map("sleep", [(float(sys.argv[1]),)] * 2))
        print("idle", flush=True)
        sys.stdin.read()
    except KeyboardInterrupt:
        print("interrupted")
"""


@contextlib.contextmanager
def parent(sleep: float):
    """A program with two workers, in a process group of its own; they hold its output open."""
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(sleep)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.parametrize("idle", [True, False])
def test_workers_end_when_their_parent_is_killed(idle):
    with parent(sleep=0 if idle else 1) as process:
        if idle:
            assert process.stdout.readline() == "idle\n"
        process.kill()
        output, _ = process.communicate(timeout=20)  # returns when the last worker is gone
        assert output == ""


def test_ctrl_c_is_for_the_parent_alone():
    with parent(sleep=60) as process:
        os.killpg(process.pid, signal.SIGINT)
        output, _ = process.communicate(timeout=20)
        assert output == "interrupted\n"
        assert process.returncode == 0
