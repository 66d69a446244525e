"""An ONNX graph under construction: every array and every operation is in it once."""

import dataclasses
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A value known only when the model runs; ``shape`` leaves out the leading batch axis."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype


Value = Tensor | np.ndarray
"""What flows between operations: computed when the model runs, or known already."""


class Graph:
    """Nodes and arrays.

    Every tensor has a batch axis in front that no operation mentions: axes are counted from the
    end, so ONNX's own broadcasting carries one state or many through the same graph.
    """

    def __init__(self) -> None:
        """Empty."""
        self._nodes: dict[tuple[Any, ...], onnx.NodeProto] = {}
        self._arrays: dict[tuple[Any, ...], onnx.TensorProto] = {}

    def constant(self, array: np.ndarray) -> str:
        """Store an array and return its name; equal arrays are stored once."""
        array = np.asarray(array, order="C")
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._arrays:
            name = f"constant{len(self._arrays)}"
            self._arrays[key] = numpy_helper.from_array(array, name)
        return self._arrays[key].name

    def integers(self, *values: int) -> str:
        """Store a list of integers (axes, shapes) and return its name."""
        return self.constant(np.array(values, np.int64))

    def name_of(self, value: Value) -> str:
        """Return the name under which a node takes ``value``."""
        return value.name if isinstance(value, Tensor) else self.constant(value)

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Return the name of what ``operator`` makes of ``inputs``; equal nodes are made once."""
        key = (operator, inputs, tuple(sorted(attributes.items())))
        if key not in self._nodes:
            output = f"{operator.lower()}{len(self._nodes)}"
            self._nodes[key] = helper.make_node(operator, inputs, [output], output, **attributes)
        return self._nodes[key].output[0]

    def model(
        self, inputs: dict[str, tuple[int, ...]], output: tuple[str, Tensor], batch: int | str
    ) -> onnx.GraphProto:
        """Return the finished graph.

        Args:
            inputs: the shape of each input by its name, without the batch axis.
            output: the output's name and its value.
            batch: the length of the batch axis, or its name if any length will do.
        """
        name, value = output
        last = helper.make_node("Identity", [value.name], [name])
        shapes = inputs | {name: value.shape}
        described = {
            key: helper.make_tensor_value_info(key, onnx.TensorProto.FLOAT, (batch, *shape))
            for key, shape in shapes.items()
        }
        return helper.make_graph(
            [*self._nodes.values(), last],
            "decision",
            [described[key] for key in inputs],
            [described[name]],
            list(self._arrays.values()),
        )
