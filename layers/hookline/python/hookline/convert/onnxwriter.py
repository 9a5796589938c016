"""Writes ONNX files: a graph is built node by node, as onnx.proto3 and the operators' docs say.

Here rather than with the onnx package: a few messages are all that is needed, and they need no
environment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hookline.convert.wire import field, integer, real, tag, varint
from hookline.core.errors import InvalidModel

Array = np.ndarray[Any, Any]
Attribute = int | float | str | Sequence[int] | Sequence[str]
OPSET, IR_VERSION = 17, 8
MAX_BYTES = (1 << 31) - 1  # of one protobuf message
_DTYPES = {"float32": 1, "int32": 6, "int64": 7, "bool": 9}  # TensorProto.DataType
_FLOAT, _INT, _STRING, _INTS, _STRINGS = 1, 2, 3, 7, 8  # AttributeProto.AttributeType


class Graph:
    """A graph that grows. Names of values are made here."""

    def __init__(self) -> None:
        self._nodes: list[bytes] = []
        self._weights: list[bytes] = []
        self._count = 0

    def add(
        self, operator: str, inputs: Sequence[str], *, outputs: int = 1, **attributes: Attribute
    ) -> str:
        """Append a node; return the name of its first output."""
        names = [self._name(operator.lower()) for _ in range(outputs)]
        node = b"".join(field(1, name) for name in inputs)
        node += b"".join(field(2, name) for name in names)
        node += field(3, names[0]) + field(4, operator)
        node += b"".join(field(5, _attribute(*each)) for each in attributes.items())
        self._nodes.append(node)
        return names[0]

    def weight(self, value: Array) -> str:
        """Append a constant; return its name."""
        name = self._name("weight")
        array = np.ascontiguousarray(value)
        dims = b"".join(integer(1, size) for size in value.shape)
        raw = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
        kind = integer(2, _DTYPES[str(array.dtype)])
        self._weights.append(dims + kind + field(8, name) + field(9, raw))
        return name

    def name_output(self, value: str, name: str) -> None:
        """Give `value` a name of its own, under which the model answers it."""
        self._nodes.append(field(1, value) + field(2, name) + field(4, "Identity"))

    def numbers(self, *values: int) -> str:
        """Append a list of whole numbers, as shapes and axes are given."""
        return self.weight(np.array(values, np.int64))

    def file(
        self,
        inputs: Mapping[str, tuple[str, Sequence[int]]],
        outputs: Mapping[str, tuple[str, Sequence[int]]],
        producer: str,
    ) -> bytes:
        """The whole model; tensors are name → (dtype, shape), -1 where any size will do."""
        graph = b"".join(field(1, node) for node in self._nodes) + field(2, "model")
        graph += b"".join(field(5, weight) for weight in self._weights)
        graph += b"".join(field(11, _value(name, *spec)) for name, spec in inputs.items())
        graph += b"".join(field(12, _value(name, *spec)) for name, spec in outputs.items())
        if len(graph) > MAX_BYTES:
            raise InvalidModel("The model is larger than the 2 GiB that one ONNX file holds.")
        opset = field(8, integer(2, OPSET))
        return integer(1, IR_VERSION) + field(2, producer) + field(7, graph) + opset

    def _name(self, stem: str) -> str:
        self._count += 1
        return f"{stem}_{self._count}"


def _attribute(name: str, value: Attribute) -> bytes:
    head = field(1, name)
    if isinstance(value, int):
        return head + integer(3, value) + integer(20, _INT)
    if isinstance(value, float):
        return head + real(2, value) + integer(20, _FLOAT)
    if isinstance(value, str):
        return head + field(4, value) + integer(20, _STRING)
    if value and isinstance(value[0], str):
        return head + b"".join(field(9, str(each)) for each in value) + integer(20, _STRINGS)
    return head + b"".join(tag(8, 0) + varint(int(n)) for n in value) + integer(20, _INTS)


def _value(name: str, dtype: str, shape: Sequence[int]) -> bytes:
    dims = b"".join(
        field(1, integer(1, size) if size >= 0 else field(2, "N" if at == 0 else f"d{at}"))
        for at, size in enumerate(shape)
    )
    tensor = integer(1, _DTYPES[dtype]) + field(2, dims)
    return field(1, name) + field(2, field(1, tensor))
