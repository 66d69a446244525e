"""The worked example of a method in a file, from training to a loaded policy."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from driftpolicy.data.files import write_npz
from driftpolicy.tasks.ogbench.collect import Collector
from tests.waiting import PATIENCE

pytestmark = [pytest.mark.slow, pytest.mark.simulator]

FILE = Path(__file__).parents[2] / "examples" / "imle.py"
SETTINGS = [
    *("--offline-steps", "40", "--online-steps", "20", "--warmup-steps", "5", "--no-overlap"),
    *("--batch-size", "16", "--replay-capacity", "100", "--eval-every", "60", "--no-video"),
    *("--eval-episodes", "1", "--processes", "1", "--generated", "3"),
    *("--actor-hidden", "16", "--critic-hidden", "16"),
]


def test_a_method_in_a_file_trains_and_its_policy_loads(tmp_path):
    part = Collector("cube-single", "play", seed=0).collect(0, steps=100)
    write_npz(tmp_path / "data.npz", {"metadata": np.array(json.dumps({})), **part})
    command = [sys.executable, "-m", "driftpolicy.cli", "train"]
    command += ["cube-single-play-singletask-task1-v0", "--data", str(tmp_path / "data.npz")]
    command += ["--method", f"{FILE}:IMLE", "--runs", str(tmp_path / "runs"), *SETTINGS]
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (run,) = (tmp_path / "runs").glob("*/*/seed0")
    assert run.parent.name.endswith("imle.py-IMLE")
    header, first = (run / "train.csv").read_text().splitlines()[:2]
    losses = dict(zip(header.split(","), first.split(","), strict=True))
    assert float(losses["imle_loss"]) > 0
    import driftpolicy

    policy = driftpolicy.load_policy(run)
    assert policy.config.agent.generated == 3
    assert policy.act(np.zeros(28), seed=0).shape == (5, 5)
