"""A run's decision rule in the task's units, and its translation to ONNX."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import onnx
from jaxtyping import Array, Float
from onnx import helper

from driftpolicy.agents.decision import DecisionRule
from driftpolicy.export.graph import Graph, Tensor
from driftpolicy.export.operators import translate
from driftpolicy.networks import lift
from driftpolicy.scaling import Scaling

LEAST_OPSET = 18
"""Reductions take their axes as an input since then."""


class Decision:
    """``(observation [..., D], noise [..., N, S]) -> chunk [..., H, A]``, in the task's units.

    The agent decides at ``(observation - mean) / deviation``; its actions ``a`` in [-1, 1] mean
    ``low + (a + 1) (high - low) / 2``.
    """

    def __init__(self, rule: DecisionRule, scaling: Scaling | None):
        """Put a trained agent's rule into the task's units.

        Args:
            rule: of the agent.
            scaling: between the task's units and the agent's; None if they are the same.
        """
        self._rule = rule
        self._scaling = scaling

    def __call__(
        self, observation: Float[Array, "*batch observation"], noise: Float[Array, "*batch n flat"]
    ) -> Float[Array, "*batch chunk action"]:
        """The decision."""
        return self._in_task(self._rule(self._seen(observation), noise))

    def candidates(
        self, observation: Float[Array, " observation"], noise: Float[Array, "n flat"]
    ) -> tuple[Float[Array, "n chunk action"], Float[Array, " n"]]:
        """Return the chunks among which the decision chooses, and the critic's value of each."""
        chunks, values = self._rule.candidates(self._seen(observation), noise)
        return self._in_task(chunks), values

    def _seen(self, observation: Array) -> Array:
        if self._scaling is None:
            return observation
        mean = _constant(self._scaling.observation_mean, observation.ndim)
        deviation = _constant(self._scaling.observation_deviation, observation.ndim)
        return (observation - mean) / deviation

    def _in_task(self, chunk: Array) -> Array:
        if self._scaling is None:
            return chunk
        low = _constant(self._scaling.action_low, chunk.ndim)
        high = _constant(self._scaling.action_high, chunk.ndim)
        least, greatest = (_constant(limit, chunk.ndim) for limit in self._scaling.limits)
        return jnp.clip(low + (chunk + 1.0) * (high - low) / 2.0, least, greatest)


def _constant(values: tuple[float, ...] | np.ndarray, rank: int) -> Array:
    return lift(jnp.asarray(values, jnp.float32), rank)


def build_model(
    decide: Callable[[Array, Array], Array],
    observation_dim: int,
    noise_shape: tuple[int, int],
    *,
    batch: int | None,
    opset: int,
) -> onnx.ModelProto:
    """Translate the function into an ONNX model: ``observation``, ``noise`` -> ``chunk``.

    Args:
        decide: traced for one state; a batch axis goes in front of everything.
        observation_dim: D.
        noise_shape: N and S.
        batch: the length of the batch axis, or None for any.
        opset: version of ONNX's operators, at least :data:`LEAST_OPSET`.

    Raises:
        UserError: if something in the function has no ONNX counterpart here.
    """
    shapes: dict[str, tuple[int, ...]] = {"observation": (observation_dim,), "noise": noise_shape}
    traced = jax.make_jaxpr(decide)(*(jnp.zeros(shape) for shape in shapes.values()))
    graph = Graph()
    inputs = [Tensor(name, shape, np.dtype(np.float32)) for name, shape in shapes.items()]
    (chunk,) = translate(traced, graph, inputs)
    assert isinstance(chunk, Tensor)
    operators = [helper.make_opsetid("", opset)]
    return helper.make_model(
        graph.model(shapes, ("chunk", chunk), batch or "batch"),
        opset_imports=operators,
        ir_version=helper.find_min_ir_version_for(operators),
        producer_name="driftpolicy",
    )


def describe(model: onnx.ModelProto, entries: Mapping[str, str]) -> None:
    """Add entries to the model's ``metadata_props``."""
    props: Any = model.metadata_props
    for name, text in entries.items():
        props.add(key=name, value=text)
