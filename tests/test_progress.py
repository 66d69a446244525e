"""Progress of one job: the numbers, plain lines, and the bar on a terminal."""

import io

import pytest

from driftpolicy import progress
from driftpolicy.progress import JobProgress, busy, format_bytes, format_seconds


class Clock:
    now = 100.0


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock.now)
    return clock


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (1234, "1.23 kB"),
        (99_960, "100 kB"),
        (999_499, "999 kB"),
        (999_500, "1 MB"),
        (1.5e9, "1.5 GB"),
        (2e15, "2000 TB"),
    ],
)
def test_bytes(count, text):
    assert format_bytes(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (3599.6, "1 h 00 min"),
        (11_225, "3 h 07 min"),
    ],
)
def test_seconds(seconds, text):
    assert format_seconds(seconds) == text


def test_rate_and_time_left(clock):
    job = JobProgress("collecting", 100, unit="episodes", stream=io.StringIO())
    assert job.status() == "0/100 episodes"
    job.update(0)
    clock.now += 60
    job.update(10)
    assert job.status() == "10/100 episodes, 10/min, 9 min 00 s left"
    clock.now += 10  # nothing new, but time passes
    assert job.status() == "10/100 episodes, 10/min, 8 min 50 s left"


def test_bytes_count_from_where_a_download_continues(clock):
    job = JobProgress("downloading", stream=io.StringIO())
    job.update(5_000_000, 20_000_000)
    clock.now += 5
    job.update(10_000_000)
    assert job.status() == "10 MB/20 MB, 1 MB/s, 10 s left"
    job.update(0, None)  # started anew
    assert job.status() == "0 B/20 MB"
    clock.now += 5
    job.update(1_000_000)
    assert job.status() == "1 MB/20 MB, 200 kB/s, 1 min 35 s left"


def test_the_rate_is_of_the_last_minute(clock):
    job = JobProgress("collecting", 1000, unit="episodes", stream=io.StringIO())
    for done in range(0, 120):
        job.update(done)
        clock.now += 1
    for done in range(120, 720, 10):
        job.update(done)
        clock.now += 1
    assert job.status().startswith("710/1000 episodes, 9.85/s")


def test_plain_lines_are_few(clock):
    stream = io.StringIO()
    with JobProgress("collecting", 300, unit="episodes", stream=stream) as job:
        for done in range(301):
            job.update(done)
            clock.now += 0.1
    lines = stream.getvalue().splitlines()
    assert 2 <= len(lines) <= 5
    assert lines[-1] == "collecting: 300/300 episodes, 10/s"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_bar_on_a_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    stream = Terminal()
    with JobProgress("collecting [a-b]", 50, unit="episodes", stream=stream) as job:
        job.update(10)
    text = stream.getvalue()
    assert "collecting [a-b]" in text
    assert "10/50 episodes" in text
    assert "…" not in text
    assert "\x1b[" in text


def test_what_cannot_be_counted_shows_its_time_on_a_terminal_alone(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    for stream, shown in ((Terminal(), True), (io.StringIO(), False)):
        with busy("reading [a-b]", stream=stream):
            pass
        assert ("reading [a-b]" in stream.getvalue()) == shown
