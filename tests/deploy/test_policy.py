"""An exported policy at run time: shapes, refusals, memory."""

import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs onnx: uv sync --extra export")

import onnx

from driftpolicy.deploy import Policy
from driftpolicy.errors import UserError
from driftpolicy.export.exporting import export_policy
from tests.export.common import ACTION, OBSERVATION, write_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("policy")
    run = write_run(folder / "run")
    export_policy(run, folder / "any.onnx", states=10)
    export_policy(run, folder / "four.onnx", batch=4, states=10)
    return folder


@pytest.fixture(scope="module")
def policy(folder) -> Policy:
    return Policy(folder / "any.onnx")


def rng(seed=0):
    return np.random.default_rng(seed)


def test_one_observation_or_many(policy):
    many = rng().normal(size=(3, OBSERVATION))
    chunks = policy.act(many, rng())
    assert chunks.shape == (3, 2, ACTION)
    assert chunks.dtype == np.float32
    assert np.abs(chunks).max() <= 1
    generator = rng()
    for observation, chunk in zip(many, chunks, strict=True):
        alone = policy.act(observation, generator)
        assert alone.shape == (2, ACTION)
        np.testing.assert_allclose(alone, chunk, atol=1e-6)


def test_the_same_generator_gives_the_same_decision(policy):
    observation = rng().normal(size=OBSERVATION)
    first = policy.act(observation, rng())
    kept = first.copy()
    assert not np.array_equal(policy.act(observation, rng(1)), first)
    np.testing.assert_array_equal(policy.act(observation, rng()), first)
    np.testing.assert_array_equal(first, kept)  # a result is the caller's own
    noise = rng().standard_normal((4, 6), np.float32)
    np.testing.assert_array_equal(policy.act_from(observation, noise), first)


@pytest.mark.parametrize(
    ("observation", "words"),
    [
        (
            np.zeros(OBSERVATION + 1),
            r"of 5 numbers.* not an array of shape \(6,\)",
        ),
        (np.zeros((1, 1, OBSERVATION)), "takes observations of 5 numbers"),
        (np.zeros((0, OBSERVATION)), "takes observations of 5 numbers"),
        (1.0, "takes observations of 5 numbers"),
        ([0, 0, np.nan, 0, 0], "holds NaN"),
        ([0, 0, 1e300, 0, 0], "infinity"),
        (["a"] * OBSERVATION, "not a number"),
        ([1j] * OBSERVATION, "not a number"),
    ],
)
def test_a_wrong_observation_is_refused(policy, observation, words):
    with pytest.raises(UserError, match=words):
        policy.act(np.asarray(observation), rng())
    policy.act(np.zeros(OBSERVATION), rng())  # and nothing is left behind


@pytest.mark.parametrize("wrong", [0, np.random, None])
def test_a_seed_is_no_generator(policy, wrong):
    with pytest.raises(TypeError, match=r"rng must be numpy.random.default_rng\(seed\), not "):
        inspect.unwrap(Policy.act)(
            policy, np.zeros(OBSERVATION), wrong
        )  # past the tests' own check


def test_wrong_noise_and_batches_are_refused(policy, folder):
    with pytest.raises(UserError, match=r"noise of shape \(4, 6\), not \(3, 6\)"):
        policy.act_from(np.zeros(OBSERVATION), np.zeros((3, 6), np.float32))
    four = Policy(folder / "four.onnx")
    assert four.act(np.zeros((4, OBSERVATION)), rng()).shape == (4, 2, ACTION)
    for wrong in (np.zeros(OBSERVATION), np.zeros((3, OBSERVATION))):
        with pytest.raises(UserError, match="for batches of 4, not of"):
            four.act(wrong, rng())


def changed(path: Path, key: str, value: str | None) -> bytes:
    """A file with another entry, without a checksum as older versions wrote it."""
    model = onnx.load(path)
    kept = {p.key: p.value for p in model.metadata_props} | {key: value, "checksum": None}
    del model.metadata_props[:]
    for name, text in kept.items():
        if text is not None:
            model.metadata_props.add(key=name, value=text)
    return model.SerializeToString()


@pytest.mark.filterwarnings("ignore:.*has no checksum")
def test_other_files_are_refused(folder, tmp_path):
    path = folder / "any.onnx"
    for content, words in (
        (changed(path, "format", "0"), "has format 0, this driftpolicy reads format 1: export"),
        (changed(path, "format", "2"), "has format 2"),
        (changed(path, "format", None), "was not made by dfp export"),
        (changed(path, "task", None), "damaged"),
        (changed(path, "task", "{"), "damaged"),
        (changed(path, "chunk_length", "3"), "describe another model"),
        (path.read_bytes()[:2000], "is damaged or no ONNX file"),
        (b"not a model", "is damaged or no ONNX file"),
        (b"", "was not made by dfp export|cannot read"),
        (onnx.ModelProto(ir_version=8).SerializeToString(), "cannot read"),
    ):
        file = tmp_path / "other.onnx"
        file.write_bytes(content)
        with pytest.raises(UserError, match=words) as caught:
            Policy(file)
        assert str(file) in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match=r"there is no file .*none\.onnx"):
        Policy(tmp_path / "none.onnx")


def test_a_file_of_an_older_version_is_run_with_a_warning(policy, folder):
    with pytest.warns(UserWarning, match=r"the model has no checksum.* export the policy again"):
        older = Policy(changed(folder / "any.onnx", "checksum", None))
    observation = rng().normal(size=OBSERVATION)
    np.testing.assert_array_equal(older.act(observation, rng()), policy.act(observation, rng()))


@pytest.mark.filterwarnings("ignore:.*has no checksum")
def test_flipped_bits_are_refused_or_change_no_action(policy, folder):
    content = (folder / "any.onnx").read_bytes()
    observation = rng().normal(size=OBSERVATION)
    expected = policy.act(observation, rng())
    places = rng(7).integers(8 * len(content), size=300)
    refused: list[str] = []
    for place in places:
        damaged = bytearray(content)
        damaged[place // 8] ^= 1 << (place % 8)
        try:
            chunk = Policy(bytes(damaged)).act(observation, rng())
        except UserError as error:
            refused.append(str(error))
        else:
            np.testing.assert_array_equal(chunk, expected)
    assert len(refused) > 290
    assert not any("\n" in line for line in refused)


@pytest.mark.filterwarnings("ignore:.*has no checksum")
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("raw", [True, False])
def test_weights_that_are_not_finite_are_refused(folder, value, raw):
    model = onnx.load(folder / "any.onnx")
    weights = next(a for a in model.graph.initializer if a.data_type == onnx.TensorProto.FLOAT)
    array = onnx.numpy_helper.to_array(weights).copy()
    array.flat[-1] = value
    stored = array.tobytes() if raw else array.ravel().tolist()
    new = onnx.helper.make_tensor(weights.name, weights.data_type, array.shape, stored, raw=raw)
    weights.CopyFrom(new)
    del model.metadata_props[-1]  # the checksum
    with pytest.raises(UserError, match="weights that are NaN or infinite"):
        Policy(model.SerializeToString())


MEASURE = """
import sys, tracemalloc
from pathlib import Path
import numpy as np
from driftpolicy.deploy import Policy

policy, rng = Policy(sys.argv[1]), np.random.default_rng(0)
observation = np.ones(policy.metadata.observation_dim)
resident = lambda: 4096 * int(Path("/proc/self/statm").read_text().split()[1])

def act(times):
    for _ in range(times):
        policy.act(observation, rng)

act(500)
before = resident()
act(20_000)
print(resident() - before)
tracemalloc.start()
act(10)
before, _ = tracemalloc.get_traced_memory()
tracemalloc.reset_peak()
act(100)
after, peak = tracemalloc.get_traced_memory()
print(after - before)
print(peak - before)
"""


def test_nothing_is_allocated_but_the_result(folder):
    """In a process of its own: here, every call is checked and its types with it."""
    command = [sys.executable, "-c", MEASURE, str(folder / "any.onnx")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    grown, kept, peak = map(int, done.stdout.split())
    assert grown < 2**20  # of the whole process: a leak of 52 bytes a call would show
    assert kept < 100  # of a hundred calls, in Python
    assert peak < 1500  # the result of 24 bytes, objects around it, no buffers
