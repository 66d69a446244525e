"""Every method's decision as a file, beside the agent that it came from."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs onnx: uv sync --extra export")

import onnx
import safetensors.numpy
from safetensors import safe_open

from driftpolicy.agents import METHODS
from driftpolicy.cli import main
from driftpolicy.deploy import Policy
from driftpolicy.errors import UserError
from driftpolicy.export import exporting as export_run
from driftpolicy.export.decision import Decision
from driftpolicy.export.exporting import export_policy
from driftpolicy.runs.trees import restore_tree, tree_arrays
from driftpolicy.training.restore import load_agent
from tests import statistical
from tests.export.common import (
    ACTION,
    OBSERVATION,
    SCALING,
    TASK,
    random_agent,
    small_config,
    write_run,
)

QUICK = {"dfp", "iql"}  # the others are made of the same operators, or of more of them
NAMES = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in METHODS]


@pytest.mark.statistical
@pytest.mark.parametrize("method", NAMES)
def test_the_file_decides_as_the_agent(method, tmp_path):
    run = write_run(tmp_path / "run", method, scaling=SCALING)
    exported = export_policy(run, tmp_path / "policy.onnx", states=300)
    assert exported.agreement.largest > 0
    statistical.assert_within("largest difference", exported.agreement.largest, high=1e-5)
    # Beside the decision rule that training and evaluation use, from the same key.
    agent, checkpoint = load_agent(next((run / "checkpoints").iterdir()))
    config = checkpoint.config
    seen = np.random.default_rng(1).normal(size=(20, OBSERVATION)).astype(np.float32)
    count, dim = config.agent.best_of, config.agent.chunk_length * ACTION
    key = jax.random.key(3)
    noise = jax.random.normal(key, (20, count, dim))
    mean, deviation = SCALING.observation_mean, SCALING.observation_deviation
    policy = Policy(tmp_path / "policy.onnx")
    got = policy.act_from(mean + np.array(deviation) * seen, np.asarray(noise))
    low, high = np.array(SCALING.action_low), np.array(SCALING.action_high)
    scaled = 2 * (got - low) / (high - low) - 1
    np.testing.assert_allclose(
        scaled, jax.jit(lambda s: agent.decision_rule(s, noise))(seen), atol=1e-4
    )
    assert policy.metadata.noise_shape == [count, dim]
    onnx.checker.check_model(onnx.load(tmp_path / "policy.onnx"), full_check=True)


def test_a_pessimistic_choice_is_exported(tmp_path):
    run = write_run(tmp_path / "run", critic_aggregation="pessimistic", critics=3)
    exported = export_policy(run, tmp_path / "policy.onnx", states=50)
    assert 0 < exported.agreement.largest < 1e-4


def test_the_file_describes_itself(tmp_path):
    met = np.random.default_rng(0).normal(size=(9, OBSERVATION)).astype(np.float32)
    run = write_run(tmp_path / "run", met=met, scaling=SCALING)
    summary = {"data": {"origin": "collected", "crc32": "0badf00d"}}
    (run / "summary.json").write_text(json.dumps(summary))
    export_policy(run, tmp_path / "policy.onnx", states=50)
    m = Policy(tmp_path / "policy.onnx").metadata
    assert (m.task, m.method, m.step) == (TASK, "dfp", 12)
    assert (m.observation_dim, m.action_dim, m.chunk_length) == (OBSERVATION, ACTION, 2)
    assert m.noise_shape == [4, 6]
    assert m.control_rate == 20.0
    assert (m.action_low, m.action_high) == (list(SCALING.action_low), list(SCALING.action_high))
    raw = SCALING.observation_mean + np.array(SCALING.observation_deviation) * met
    np.testing.assert_allclose(m.observation_low, raw.min(axis=0), rtol=1e-5)
    np.testing.assert_allclose(m.observation_high, raw.max(axis=0), rtol=1e-5)
    assert m.observation_parts is None
    assert m.data == summary["data"]
    assert m.config["agent"]["best_of"] == 4
    assert m.versions["jax"] == jax.__version__
    # Entry by entry, for whoever opens the file with other tools.
    props = onnx.load(tmp_path / "policy.onnx").metadata_props
    entries = {p.key: json.loads(p.value) for p in props}
    assert entries["task"] == TASK
    assert entries["format"] == 1


def test_actions_stay_within_bounds_that_float32_rounds_outwards(monkeypatch):
    low, high = (-np.pi / 4, 0.1, -2.0), (0.1, np.pi / 4, 2.0)  # the first two of each
    scaling = dataclasses.replace(SCALING, action_low=low, action_high=high)
    rule = random_agent(small_config("dfp")).decision_rule
    edges = jnp.array([[-1.0, -1, -1], [1, 1, 1]])
    monkeypatch.setattr(type(rule), "__call__", lambda *_: edges)
    chunk = np.asarray(Decision(rule, scaling)(jnp.zeros(OBSERVATION), jnp.zeros((4, 6))))
    assert (chunk >= low).all()
    assert (chunk <= high).all()
    np.testing.assert_array_equal(chunk, scaling.raw_actions(np.asarray(edges)))


def test_without_a_scaling_the_units_are_the_agents(tmp_path):
    run = write_run(tmp_path / "run", "dfp", best_of=1)
    export_policy(run, tmp_path / "policy.onnx", states=50)
    policy = Policy(tmp_path / "policy.onnx")
    assert policy.metadata.action_low == [-1.0] * ACTION
    assert policy.metadata.observation_low is None
    assert policy.metadata.data == {"crc32": "0badf00d"}
    agent, _ = load_agent(next((run / "checkpoints").iterdir()))
    draw = np.random.default_rng(1).standard_normal
    observation, noise = draw(OBSERVATION, np.float32), draw((1, 6), np.float32)
    expected = agent.decision_rule(jnp.asarray(observation), jnp.asarray(noise))
    np.testing.assert_allclose(policy.act_from(observation, noise), expected, atol=1e-5)


def test_opset_and_batch_are_as_asked(tmp_path):
    run = write_run(tmp_path / "run")
    path = tmp_path / "policy.onnx"
    newest = onnx.defs.onnx_opset_version()
    for batch, opset, states in ((1, 18, 7), (4, newest, 10)):
        exported = export_policy(run, path, batch=batch, opset=opset, states=states)
        assert exported.agreement.states == states
        model = onnx.load(path)
        assert model.opset_import[0].version == opset
        axis = model.graph.input[0].type.tensor_type.shape.dim[0]
        assert axis.dim_value == batch
        assert Policy(path).batch == batch
    for opset in (17, newest + 1):
        with pytest.raises(UserError, match=f"between 18 and {newest}, not {opset}"):
            export_policy(run, path, opset=opset)


def test_the_weights_beside_it_are_the_agents(tmp_path):
    run = write_run(tmp_path / "run", "iql")
    weights = tmp_path / "policy.safetensors"
    export_policy(run, tmp_path / "policy.onnx", weights=weights, states=10)
    arrays = safetensors.numpy.load_file(weights)
    agent, _ = load_agent(next((run / "checkpoints").iterdir()))
    parts = {"actor": agent.actor, "critic": agent.critic.online}
    for part, module in parts.items():
        own = {name.removeprefix(f"{part}."): a for name, a in arrays.items() if part in name}
        restored = restore_tree(module, own, weights)
        for name, array in tree_arrays(restored).items():
            np.testing.assert_array_equal(array, tree_arrays(module)[name])
    assert len(arrays) == sum(len(tree_arrays(module)) for module in parts.values())
    with safe_open(weights, "numpy") as file:
        assert json.loads(file.metadata()["method"]) == "iql"


@pytest.mark.parametrize("part", ["actor", "critic"])
def test_a_file_that_does_not_agree_is_not_written(part, tmp_path, monkeypatch):
    run, path = write_run(tmp_path / "run"), tmp_path / "policy.onnx"
    build = export_run.build_model

    def build_another(decide, *arguments, **settings):
        agent = random_agent(small_config("dfp"))
        changed = {part: jax.tree.map(lambda a: 1.01 * a, getattr(agent, part))}
        agent = export_run.dataclasses.replace(agent, **changed)
        return build(export_run.Decision(agent.decision_rule, None), *arguments, **settings)

    monkeypatch.setattr(export_run, "build_model", build_another)
    with pytest.raises(UserError, match=r"does not agree with JAX: in state \d+ .* by"):
        export_policy(run, path, weights=tmp_path / "weights", states=2000)
    assert {p.name for p in tmp_path.iterdir()} == {"run"}


def test_on_the_command_line(tmp_path, capsys):
    run, path = write_run(tmp_path / "run", "bfn"), tmp_path / "policy.onnx"
    assert main(["export", str(run), str(path), "--states", "20", "--batch", "2"]) == 0
    out = capsys.readouterr().out
    assert f"{path}: bfn on {TASK}, checkpoint of step 12" in out
    assert "opset 18, a batch of 2" in out
    assert f"observation [{OBSERVATION}] and noise [4, 6] -> chunk [2, 3] at 20 Hz" in out
    assert "agrees with JAX in 20 states drawn at random: largest difference" in out
    for extra, line in (
        (["--batch", "many"], "--batch must be dynamic or a number above 0, not many"),
        (["--batch", "0"], "--batch must be dynamic or a number above 0, not 0"),
        (["--states", "0"], "--states must be at least 1, not 0"),
        (["--opset", "3"], "--opset must be between 18 and"),
    ):
        assert main(["export", str(run), str(path), *extra]) == 2
        error = capsys.readouterr().err
        assert line in error
        assert error.count("\n") == 1
    assert main(["export", str(tmp_path / "none"), str(path)]) == 2
    assert "none does not exist" in capsys.readouterr().err
