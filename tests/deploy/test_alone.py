"""Where neither JAX nor training code is."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs onnx: uv sync --extra export")


from driftpolicy.deploy import Policy
from driftpolicy.export.exporting import export_policy
from tests.export.common import OBSERVATION, write_run

ROOT = Path(__file__).parents[2]
DECIDE = """
import sys
import numpy as np
from driftpolicy.deploy import ChunkRunner, Policy
policy = Policy(sys.argv[1])
print(policy.act(np.ones(policy.metadata.observation_dim), np.random.default_rng(5)).tolist())
sent = []
read = lambda: np.ones(policy.metadata.observation_dim)
# A lookahead as measured would refuse a machine that is too busy.
runner = ChunkRunner(policy, read, sent.append, lambda: None, rate_hz=5.0, lookahead_s=0.1)
print(runner.run(4).ended_by)
heavy = ("jax", "jaxtyping", "equinox", "optax", "driftpolicy.training", "driftpolicy.agents",
         "driftpolicy.data", "driftpolicy.networks")
print([name for name in heavy if name in sys.modules])
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("alone")
    export_policy(write_run(folder / "run"), folder / "policy.onnx", states=10)
    return folder / "policy.onnx"


def decide(python: object, model: Path, folder: Path) -> list[str]:
    (folder / "decide.py").write_text(DECIDE)
    command = [str(python), "decide.py", str(model)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def expected(model: Path) -> list[str]:
    chunk = Policy(model).act(np.ones(OBSERVATION), np.random.default_rng(5))
    return [str(chunk.tolist()), "steps", "[]"]


def test_neither_jax_nor_training_code_is_imported(model, tmp_path):
    assert decide(sys.executable, model, tmp_path) == expected(model)


def test_the_wheel_needs_only_numpy_and_onnxruntime(model, tmp_path):
    """The built package, without its dependencies, in an environment of its own."""
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("needs uv, to build the package and make an environment")

    def call(*arguments: object) -> None:
        command = [uv, *map(str, arguments), "--quiet"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"needs a package registry: uv {arguments[0]} says {done.stderr[-300:]}")

    python = tmp_path / "venv" / "bin" / "python"
    versions = [f"{module.__name__}=={module.__version__}" for module in (np, _onnxruntime())]
    call("venv", tmp_path / "venv", "--python", sys.executable)
    call("pip", "install", "--python", python, *versions)
    call("build", "--wheel", "--out-dir", tmp_path)
    call("pip", "install", "--python", python, "--no-deps", *tmp_path.glob("*.whl"))
    absent = [python, "-c", "import jax"]
    assert b"ModuleNotFoundError" in subprocess.run(absent, capture_output=True).stderr
    assert decide(python, model, tmp_path) == expected(model)


def _onnxruntime():
    import onnxruntime

    return onnxruntime
