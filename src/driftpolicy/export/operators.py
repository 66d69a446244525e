"""From JAX to ONNX: what each primitive of a traced function becomes, and the walk over them.

Whatever depends on parameters alone is computed during the walk, so a layer norm that is folded
into the next layer's weights, or the time of an Euler step, costs nothing when the model runs. The
steps of a loop are written out. A primitive without a rule is an error, never an approximation.
"""

from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any

import numpy as np
from jax.extend.core import ClosedJaxpr, Literal
from onnx import helper

from driftpolicy.errors import UserError
from driftpolicy.export.graph import Graph, Tensor, Value

Rule = Callable[..., str]


def translate(traced: ClosedJaxpr, graph: Graph, inputs: Sequence[Value]) -> list[Value]:
    """Add a traced function of ``inputs`` to ``graph``; its outputs.

    Raises:
        UserError: naming a primitive that has no rule here.
    """
    jaxpr = traced.jaxpr
    values: dict[Any, Value] = dict(
        zip(jaxpr.constvars, map(np.asarray, traced.consts), strict=True)
    )
    values |= zip(jaxpr.invars, inputs, strict=True)

    def value_of(variable: Any) -> Value:
        if isinstance(variable, Literal):
            return np.asarray(variable.val, variable.aval.dtype)  # type: ignore[attr-defined]
        return values[variable]

    for equation in jaxpr.eqns:
        arguments = [value_of(variable) for variable in equation.invars]
        values |= zip(equation.outvars, _apply(equation, graph, arguments), strict=True)
    return [value_of(variable) for variable in jaxpr.outvars]


def _apply(equation: Any, graph: Graph, arguments: list[Value]) -> list[Value]:
    """The outputs of one equation."""
    name, parameters = equation.primitive.name, equation.params
    if name == "optimization_barrier":
        return arguments
    if name in ("jit", "pjit"):
        return translate(parameters["jaxpr"], graph, arguments)
    if name == "scan":
        return _unroll(parameters, graph, arguments)
    if not any(isinstance(argument, Tensor) for argument in arguments):
        known = equation.primitive.bind(*arguments, **parameters)
        return [np.asarray(a) for a in (known if equation.primitive.multiple_results else [known])]
    if name not in _RULES:
        raise UserError(f"cannot export the operation {name!r}: no ONNX rule is written for it")
    out = equation.outvars[0].aval
    made = _RULES[name](graph, arguments, out, **parameters)
    return [Tensor(made, out.shape, np.dtype(out.dtype))]


def _unroll(parameters: dict[str, Any], graph: Graph, arguments: list[Value]) -> list[Value]:
    """The steps of a loop that carries values and collects none, one after the other."""
    fixed, carry, scanned = _loop_arguments(parameters, arguments)
    if scanned or len(parameters["jaxpr"].jaxpr.outvars) != len(carry):
        raise UserError("cannot export a loop over arrays: no ONNX rule is written for it")
    for _ in range(parameters["length"]):
        carry = translate(parameters["jaxpr"], graph, [*fixed, *carry])
    return carry


def _loop_arguments(parameters: dict[str, Any], arguments: list[Value]) -> list[list[Value]]:
    """What a loop finds, what it carries, and the arrays that it goes over."""
    if "ft_in" in parameters:  # since JAX 0.11
        return [list(part) for part in parameters["ft_in"].update(arguments).unpack()]
    first = parameters["num_consts"]
    last = first + parameters["num_carry"]
    return [arguments[:first], arguments[first:last], arguments[last:]]


# --- one rule per primitive ----------------------------------------------------------------------
# A rule adds nodes and gives the name of the last. It gets the graph, the arguments (at least one
# of them a tensor), the shape and type of the output, and the primitive's own parameters.


def _elementwise(operator: str) -> Rule:
    def rule(graph: Graph, arguments: list[Value], out: Any, **_: Any) -> str:
        return graph.node(operator, *map(graph.name_of, arguments))

    return rule


def _integer_pow(graph: Graph, arguments: list[Value], out: Any, *, y: int) -> str:
    name = graph.name_of(arguments[0])
    if y < 1:
        raise UserError(f"cannot export the operation 'integer_pow' with exponent {y}")
    return reduce(partial(graph.node, "Mul"), [name] * y)


def _cast(graph: Graph, name: str, dtype: Any) -> str:
    return graph.node("Cast", name, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def _convert(graph: Graph, arguments: list[Value], out: Any, **_: Any) -> str:
    (value,) = arguments
    name = graph.name_of(value)
    return name if value.dtype == out.dtype else _cast(graph, name, out.dtype)


def _reshape(graph: Graph, value: Value, shape: tuple[int, ...]) -> str:
    name = graph.name_of(value)
    if value.shape == shape:
        return name
    return graph.node("Reshape", name, graph.integers(0, *shape))  # 0: the batch axis stays


def _reshape_rule(graph: Graph, arguments: list[Value], out: Any, **_: Any) -> str:
    return _reshape(graph, arguments[0], out.shape)


def _broadcast(
    graph: Graph,
    arguments: list[Value],
    out: Any,
    *,
    broadcast_dimensions: tuple[int, ...],
    **_: Any,
) -> str:
    (value,) = arguments
    spread = [1] * len(out.shape)
    for axis, size in zip(broadcast_dimensions, value.shape, strict=True):
        spread[axis] = size
    name = _reshape(graph, value, tuple(spread))
    if tuple(spread) == out.shape:
        return name
    return graph.node("Expand", name, graph.integers(*out.shape))


def _dot(
    graph: Graph, arguments: list[Value], out: Any, *, dimension_numbers: Any, **_: Any
) -> str:
    left, right = arguments
    last = len(left.shape) - 1
    plain = dimension_numbers == (((last,), (0,)), ((), ()))
    if not plain or isinstance(right, Tensor) or right.ndim != 2:
        raise UserError("cannot export a product other than of a tensor and a matrix of weights")
    return graph.node("MatMul", graph.name_of(left), graph.name_of(right))


def _reduction(operator: str) -> Rule:
    def rule(
        graph: Graph, arguments: list[Value], out: Any, *, axes: tuple[int, ...], **_: Any
    ) -> str:
        (value,) = arguments
        counted = graph.integers(*(axis - len(value.shape) for axis in axes))
        return graph.node(operator, graph.name_of(value), counted, keepdims=0)

    return rule


def _argmax(
    graph: Graph, arguments: list[Value], out: Any, *, axes: tuple[int, ...], **_: Any
) -> str:
    (value,) = arguments
    axis = axes[0] - len(value.shape)
    return _cast(
        graph, graph.node("ArgMax", graph.name_of(value), axis=axis, keepdims=0), out.dtype
    )


def _select(graph: Graph, arguments: list[Value], out: Any) -> str:
    which, no, yes = arguments
    if which.dtype != np.dtype(bool):
        raise UserError("cannot export a choice among more than two")
    return graph.node("Where", *map(graph.name_of, (which, yes, no)))


def _slice(
    graph: Graph,
    arguments: list[Value],
    out: Any,
    *,
    start_indices: tuple[int, ...],
    limit_indices: tuple[int, ...],
    strides: tuple[int, ...] | None,
) -> str:
    (value,) = arguments
    rank = len(value.shape)
    bounds = [graph.integers(*numbers) for numbers in (start_indices, limit_indices)]
    axes = graph.integers(*range(-rank, 0))
    steps = graph.integers(*(strides or (1,) * rank))
    return graph.node("Slice", graph.name_of(value), *bounds, axes, steps)


def _join(graph: Graph, parts: Sequence[Value], axis: int) -> str:
    if not all(isinstance(part, Tensor) for part in parts):
        raise UserError("cannot export the joining of tensors with constants")
    return graph.node("Concat", *map(graph.name_of, parts), axis=axis)


def _concatenate(
    graph: Graph, arguments: list[Value], out: Any, *, dimension: int, **_: Any
) -> str:
    return _join(graph, arguments, dimension - len(out.shape))


def _stack(graph: Graph, arguments: list[Value], out: Any, *, axis: int, **_: Any) -> str:
    single = (*out.shape[:axis], 1, *out.shape[axis + 1 :])
    parts = [Tensor(_reshape(graph, a, single), single, np.dtype(a.dtype)) for a in arguments]
    return _join(graph, parts, axis - len(out.shape))


def _gather(
    graph: Graph,
    arguments: list[Value],
    out: Any,
    *,
    dimension_numbers: Any,
    slice_sizes: tuple[int, ...],
    **_: Any,
) -> str:
    """Rows of a matrix by their numbers, which are within it: they come from an argmax."""
    matrix, index = arguments
    rows = (
        dimension_numbers.offset_dims == (1,)
        and dimension_numbers.collapsed_slice_dims == (0,)
        and dimension_numbers.start_index_map == (0,)
        and slice_sizes == (1, matrix.shape[-1])
        and isinstance(matrix, Tensor)
        and isinstance(index, Tensor)
    )
    if not rows:
        raise UserError("cannot export a gather other than of a matrix's rows")
    number = _cast(graph, graph.name_of(index), np.int64)
    return graph.node("GatherND", graph.name_of(matrix), number, batch_dims=1)


_RULES: dict[str, Rule] = {
    "add": _elementwise("Add"),
    "sub": _elementwise("Sub"),
    "mul": _elementwise("Mul"),
    "div": _elementwise("Div"),
    "max": _elementwise("Max"),
    "min": _elementwise("Min"),
    "exp": _elementwise("Exp"),
    "tanh": _elementwise("Tanh"),
    "sqrt": _elementwise("Sqrt"),
    "lt": _elementwise("Less"),
    "integer_pow": _integer_pow,
    "select_n": _select,
    "convert_element_type": _convert,
    "reshape": _reshape_rule,
    "squeeze": _reshape_rule,
    "broadcast_in_dim": _broadcast,
    "slice": _slice,
    "concatenate": _concatenate,
    "stack": _stack,
    "dot_general": _dot,
    "reduce_sum": _reduction("ReduceSum"),
    "reduce_min": _reduction("ReduceMin"),
    "argmax": _argmax,
    "gather": _gather,
}
