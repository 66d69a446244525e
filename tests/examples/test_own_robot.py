"""The worked example of docs/robot.md, all of its steps, at a small scale."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.waiting import PATIENCE

pytestmark = [pytest.mark.slow, pytest.mark.simulator]

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_robot.py"


def test_from_demonstrations_to_a_policy(tmp_path):
    command = [sys.executable, "-W", "error", str(EXAMPLE), "--quick", "--out", str(tmp_path)]
    exports = importlib.util.find_spec("onnx") is not None
    if not exports:  # the extra export is not installed: all but the last step
        command.append("--no-export")
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "20 demonstrations at 50 Hz, 20 successful" in done.stdout
    assert "step 100: success " in done.stdout
    drives = ["run", "policy.onnx"] if exports else ["run"]
    for name in drives:
        assert re.search(rf"{name}: [012] of 2 episodes successful", done.stdout)
    with np.load(tmp_path / "reach.npz") as file:
        assert file["control_rate"] == 50
        lengths = [len(file[f"episode_{i}/actions"]) for i in range(20)]
        assert max(lengths) < 50
        assert file["episode_0/observations"].shape == (lengths[0] + 1, 10)
    assert (tmp_path / "run" / "curves.png").is_file()
    assert (tmp_path / "policy.onnx").is_file() == exports
