"""``examples/deploy.py``: an exported policy drives a simulator to the episode's end."""

import functools
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("onnx", reason="needs onnx: uv sync --extra export")

from driftpolicy.deploy import ChunkRunner
from driftpolicy.export.exporting import export_policy
from tests.deploy.common import Answered, Clock
from tests.export import common
from tests.waiting import PATIENCE

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).parents[2] / "examples" / "deploy.py"


def example(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLE), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)


def test_an_episode_from_the_first_observation_to_the_stop(tmp_path, monkeypatch, capsys):
    """In a time of its own: by the machine's, a busy one ends the episode at a late chunk."""
    monkeypatch.setattr(common, "OBSERVATION", 28)
    monkeypatch.setattr(common, "ACTION", 5)
    export_policy(common.write_run(tmp_path / "run"), tmp_path / "policy.onnx", states=10)
    spec = importlib.util.spec_from_file_location("deploy", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.ChunkRunner = functools.partial(ChunkRunner, clock=Clock(), decider=Answered)
    monkeypatch.setattr(sys, "argv", ["deploy.py", str(tmp_path / "policy.onnx"), "--rate", "50"])
    module.run()
    *_, end, stopped, report, _, _, _ = capsys.readouterr().out.splitlines()
    assert stopped == "stopped"
    words = re.match(r"(\d+) steps, (\d+) chunks, ended by stop; ", report)
    assert words is not None, report
    steps, chunks = map(int, words.groups())
    assert "0 chunks late, 0 steps late, 0 skipped; 0 held" in report
    assert chunks == -(-steps // 2)  # whole ones, of two
    assert 0 < steps <= 200
    assert end == "success" or (end, steps) == ("the time is over", 200)


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
