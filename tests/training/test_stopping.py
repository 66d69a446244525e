"""What stops a run early, with a checkpoint."""

import io
import os
import signal
import subprocess
import sys

import pytest
from rich.console import Console

from driftpolicy.progress import JobProgress, Lasting
from driftpolicy.training.stopping import Stop


@pytest.fixture
def unread():
    """A pipe that nobody reads any more."""
    read, write = os.pipe()
    with open(write, "w") as file:
        os.close(read)
        yield file


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_noted(number):
    stop = Stop(None)
    before = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
    found = signal.signal(number, before)  # these tests may run under nohup
    with stop.listening():
        assert not stop()
        signal.raise_signal(number)
        assert stop()
        assert stop.signal == number
    assert signal.getsignal(number) == before
    signal.signal(number, found)


def test_what_nohup_ignores_stays_ignored():
    stop, before = Stop(None), signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop.listening():
            signal.raise_signal(signal.SIGHUP)
        assert not stop()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_console_that_nobody_reads_is_noted(unread):
    stop, console = Stop(None), Console(file=unread)
    with stop.outliving(console):
        assert not stop()
        for _ in range(3):
            console.print("a line")
        assert stop()
        assert isinstance(stop.output_lost, BrokenPipeError)
    assert console.file is unread
    unread.flush()  # as when Python ends: goes nowhere


def test_progress_that_nobody_reads_ends_no_job(unread):
    with JobProgress("collecting", 2, unit="episodes", stream=unread) as progress:
        progress.update(1)
        progress.update(2)


def test_a_file_that_can_be_written_is_as_it_was():
    file = io.StringIO()
    lasting = Lasting(file, lambda error: pytest.fail(str(error)))
    print("a", file=lasting, flush=True)
    assert (file.getvalue(), lasting.isatty()) == ("a\n", False)


def test_a_command_whose_output_nobody_reads_ends_quietly(unread):
    done = subprocess.run(
        [sys.executable, "-m", "driftpolicy.cli", "tasks"],
        stdout=unread,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert (done.returncode in (0, 1), done.stderr) == (True, "")
