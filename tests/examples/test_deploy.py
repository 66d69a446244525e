"""``examples/deploy.py``: an exported policy drives a simulator to the episode's end."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("onnx", reason="needs onnx: uv sync --extra export")

from driftpolicy.export.run import export_policy
from tests.export import common

EXAMPLE = Path(__file__).parents[2] / "examples" / "deploy.py"


def example(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLE), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=900)


def test_an_episode_from_the_first_observation_to_the_stop(tmp_path, monkeypatch):
    monkeypatch.setattr(common, "OBSERVATION", 28)
    monkeypatch.setattr(common, "ACTION", 5)
    export_policy(common.write_run(tmp_path / "run"), tmp_path / "policy.onnx", states=10)
    done = example(tmp_path / "policy.onnx", "--rate", "50")  # 200 steps, faster than the arm's
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[-5] == "stopped", done.stdout
    steps = int(lines[-4].split()[0])
    late = "ended by late chunk" in lines[-4]  # of a machine that is too busy
    assert late or (steps <= 200 and lines[-6] in ("the time is over", "success"))
    assert steps > 0


@pytest.mark.parametrize("words", ["there is no file gone.onnx", "rate_hz must be finite"])
def test_what_cannot_be_run_is_one_line(words, tmp_path):
    arguments = ["gone.onnx"]
    if "rate" in words:
        export_policy(common.write_run(tmp_path / "run"), tmp_path / "policy.onnx", states=10)
        arguments = [str(tmp_path / "policy.onnx"), "--rate", "0"]
    done = example(*arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
