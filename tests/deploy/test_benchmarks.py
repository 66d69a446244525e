"""The benchmarks of decisions and of the control loop run, and print what their pages show."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("onnx", reason="needs onnx: uv sync --extra export")

from driftpolicy.report.published import published_cost
from tests.waiting import PATIENCE

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def benchmark(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, f"benchmarks/{name}.py", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)


def test_decisions_stand_beside_the_published_cost():
    done = benchmark("decision", "--rounds", "1", "--methods", "fql", "bc")
    assert done.returncode == 0, done.stderr
    rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines()[-2:]]
    assert [row[:2] for row in rows] == [["fql", "1"], ["bc", "1"]]
    for row in rows:
        jax, jax_p99, onnx, onnx_p99 = map(float, row[2:6])
        assert 0 < jax <= jax_p99
        assert 0 < onnx <= onnx_p99
    assert float(rows[0][6]) == published_cost()["fql"]["evaluation_ms"]
    assert len(rows[1]) == 6  # BC is none of the paper's methods: its last cell is empty


def test_the_control_loop_reports():
    # A lookahead as measured would refuse a machine that is too busy.
    done = benchmark("control_loop", "--seconds", "0.5", "--lookahead", "0.03")
    assert done.returncode == 0, done.stderr
    words = re.match(r"(\d+) steps, (\d+) chunks, ended by steps; missed deadlines: ", done.stdout)
    assert words is not None, done.stdout
    steps, chunks = map(int, words.groups())
    assert 1 <= chunks <= steps <= 25  # 50 Hz; the fewer, the busier the machine
    assert [line.split(":")[0] for line in done.stdout.splitlines()[1:]] == [
        "jitter",
        "latency",
        "age of observations",
    ]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("decision", ("--rounds", "0")),
        ("decision", ("--methods", "sac")),
        ("control_loop", ("--rate", "0")),
    ],
)
def test_bad_settings_are_refused(name, arguments):
    done = benchmark(name, *arguments)
    assert done.returncode == 2
    assert arguments[0] in done.stderr
    assert "Traceback" not in done.stderr
