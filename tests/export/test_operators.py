"""Traced functions beside what onnxruntime makes of their graphs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs onnx: uv sync --extra export")

import onnx
import onnxruntime

from driftpolicy.errors import UserError
from driftpolicy.export.decision import Decision, build_model
from tests.export.common import OBSERVATION, random_agent, small_config

D, N, S = 3, 4, 6


def model_of(function, opset=18):
    return build_model(function, D, (N, S), batch=None, opset=opset)


def count(model, operator):
    return sum(node.op_type == operator for node in model.graph.node)


def loop(observation, noise):
    def step(i, x):
        return x + jnp.where(x < i, 1.0, i / 4) / 3.0

    return jax.lax.fori_loop(0, 4, step, noise)


FUNCTIONS = {
    "shapes": lambda o, x: jnp.stack([x[1:3, ::2].reshape(6), x[0]], axis=1)[:, None, :],
    "joined": lambda o, x: jnp.concatenate([x, x[:, :2] ** 2], axis=1),
    "spread": lambda o, x: jnp.broadcast_to(o[:, None, None], (D, N, 2)) + x[None, :, :2],
    "reduced": lambda o, x: jnp.stack([jnp.sum(x, axis=0), jnp.min(x, axis=0)]),
    "best": lambda o, x: jnp.take_along_axis(x, jnp.argmax(x[:, 0])[None, None], axis=0),
    "loop": loop,
    "same twice": lambda o, x: jnp.tanh(x) + jnp.tanh(x) * jnp.sqrt(jnp.exp(x)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_graph_computes_what_was_traced(name):
    function = FUNCTIONS[name]
    model = model_of(function)
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    rng = np.random.default_rng(0)
    for batch in (1, 5):
        o, x = rng.normal(size=(batch, D)), rng.normal(size=(batch, N, S))
        o, x = o.astype(np.float32), x.astype(np.float32)
        (got,) = session.run(None, {"observation": o, "noise": x})
        expected = jax.vmap(function)(o, x)
        assert got.shape == expected.shape
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-6)
    assert count(model, "Tanh") <= 1


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda o, x: jnp.sin(x), "operation 'sin'"),
        (lambda o, x: x[:, :N] @ x, "a product other than"),
        (lambda o, x: jnp.concatenate([x, jnp.ones((N, 1))], axis=1), "tensors with constants"),
        (lambda o, x: jax.lax.scan(lambda c, r: (c + r, c), x[0], x)[1], "a loop over arrays"),
        (lambda o, x: jnp.take_along_axis(x, jnp.argmax(x, axis=0)[None], axis=0), "a gather"),
        (lambda o, x: x**-2, "exponent -2"),
    ],
)
def test_what_has_no_rule_is_an_error(function, words):
    with pytest.raises(UserError, match=words):
        model_of(function)


def test_what_depends_on_parameters_alone_is_computed_at_export():
    """Of a flow's steps the products with observation and time, of a critic the norm's weights."""
    agent = random_agent(small_config("qc-bfn"))
    rule = agent.decision_rule
    model = build_model(Decision(rule, None), OBSERVATION, rule.noise_shape, batch=None, opset=18)
    # The observation once per network; per step the noise, a hidden layer, the output; of each
    # critic the chunk, a hidden layer, the output.
    assert count(model, "MatMul") == (1 + 3 * 3) + 2 * (1 + 3)
    assert count(model, "ReduceSum") == 2 * 2 * 2 + 1  # two of each norm; the mean of two critics
    stored = sum(np.prod(a.dims) for a in model.graph.initializer)
    parameters = sum(a.size for a in jax.tree.leaves((agent.actor, agent.critic.online)))
    assert stored < 1.2 * parameters
