"""Reads what an ONNX file says about itself, without onnx, onnxruntime or trust.

Field numbers are those of onnx.proto3 (github.com/onnx/onnx). A file whose weights lie elsewhere is
refused wherever it says so, also in a subgraph, a function or a training graph.

Sequences and maps are described as the arrays that a replica makes of them: a score map of
scikit-learn's converters is [rows, classes], a sequence of score tables [rows, outputs, classes].
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO

from hookline.core.errors import InvalidModel
from hookline.core.models import TensorSpec
from hookline.core.protobuf import Malformed, Reader, Span, checked_span

MAX_TENSORS = 1000
MAX_METADATA = 1000
MAX_OPSETS = 100
MAX_DIMENSIONS = 64
MAX_NESTING = 32  # graphs inside attributes of nodes of graphs
_PER_LEVEL = 3  # a graph, a node, an attribute

_IR_VERSION, _PRODUCER, _GRAPH, _OPSET, _METADATA = 1, 2, 7, 8, 14  # ModelProto
_DOMAIN, _VERSION = 1, 2  # OperatorSetIdProto
_KEY, _VALUE = 1, 2  # StringStringEntryProto
_INITIALIZER, _INPUT, _OUTPUT, _SPARSE_INITIALIZER = 5, 11, 12, 15  # GraphProto
_NAME, _TYPE = 1, 2  # ValueInfoProto
_TENSOR_TYPE, _SEQUENCE_TYPE, _MAP_TYPE, _DENOTATION = 1, 4, 5, 6  # TypeProto
_ELEM_TYPE, _SHAPE = 1, 2  # TypeProto.Tensor
_SEQUENCE_OF, _MAP_TO = 1, 2  # TypeProto.Sequence, TypeProto.Map
_DIMENSION, _DIM_VALUE = 1, 1  # TensorShapeProto
_TENSOR_NAME, _EXTERNAL_DATA, _DATA_LOCATION = 8, 13, 14  # TensorProto
_LOCATION = "location"  # the key of external_data that names a file
_SPARSE_VALUES = 1  # SparseTensorProto

# Where tensors may hide: message → field number → message. Other fields are skipped.
PARTS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {
        5: "tensor",
        10: "tensor",
        22: "sparse",
        23: "sparse",
        6: "graph",
        11: "graph",
    },
    "sparse": {1: "tensor", 2: "tensor"},
}

_DTYPES = {  # TensorProto.DataType
    1: "float32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    8: "string",
    9: "bool",
    10: "float16",
    11: "float64",
    12: "uint32",
    13: "uint64",
    14: "complex64",
    15: "complex128",
    16: "bfloat16",
}

_EXPORT = "Export the model to ONNX again, for instance with torch.onnx.export, as one file."


@dataclass(frozen=True, slots=True)
class OnnxModel:
    """What the file says. Inputs are those a caller gives. An unknown rank shows as shape ()."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    metadata: Mapping[str, str]
    opset: int
    producer: str


def inspect(file: BinaryIO) -> OnnxModel:
    """Describe the model in a seekable file. Raise InvalidModel, which says what to do."""
    reader = Reader(file)
    try:
        return _model(reader, reader.whole())
    except Malformed as error:
        raise InvalidModel(
            "The file is not a whole ONNX model.", why=str(error), hint=_EXPORT
        ) from None


def weight_files(file: BinaryIO) -> frozenset[str]:
    """Where the model in a seekable file says that weights lie; none where all are inside.

    "" stands for weights that are elsewhere and do not say where. A file that is no model has none.
    """
    reader = Reader(file)
    try:
        return frozenset(_places(reader, reader.whole(), "model", 0))
    except Malformed:
        return frozenset()


def _model(reader: Reader, model: Span) -> OnnxModel:
    graphs = list(islice(reader.messages(model, _GRAPH), 2))
    opsets = [_opset(reader, span) for span in islice(reader.messages(model, _OPSET), MAX_OPSETS)]
    if len(graphs) != 1 or not opsets or reader.integer(model, _IR_VERSION) < 1:
        raise Malformed("It has no graph, or does not say which version of ONNX it is.")
    _refuse_external(reader, model)
    return OnnxModel(
        inputs=tuple(_inputs(reader, graphs[0])),
        outputs=tuple(_tensors(reader, graphs[0], _OUTPUT, "output")),
        metadata=dict(_metadata(reader, model)),
        opset=max(opsets),
        producer=reader.text(model, _PRODUCER),
    )


def _opset(reader: Reader, opset: Span) -> int:
    """The version of ONNX's own operators; 0 for another domain."""
    is_onnx = reader.text(opset, _DOMAIN) in ("", "ai.onnx")
    return reader.integer(opset, _VERSION) if is_onnx else 0


def _metadata(reader: Reader, model: Span) -> Iterator[tuple[str, str]]:
    for entry in islice(reader.messages(model, _METADATA), MAX_METADATA):
        yield reader.text(entry, _KEY), reader.text(entry, _VALUE)


def _inputs(reader: Reader, graph: Span) -> list[TensorSpec]:
    inputs = _tensors(reader, graph, _INPUT, "input")
    weights = set(_weights(reader, graph, {tensor.name for tensor in inputs}))
    given = [tensor for tensor in inputs if tensor.name not in weights]
    if not given:
        raise Malformed("Its graph has no inputs.")
    return given


def _weights(reader: Reader, graph: Span, names: set[str]) -> Iterator[str]:
    """Which of `names` the file gives a value: before IR 4 every weight was an input as well."""
    for weight in reader.messages(graph, _INITIALIZER):
        yield from {reader.text(weight, _TENSOR_NAME)} & names
    for weight in reader.messages(graph, _SPARSE_INITIALIZER):
        for values in reader.messages(weight, _SPARSE_VALUES):
            yield from {reader.text(values, _TENSOR_NAME)} & names


def _tensors(reader: Reader, graph: Span, number: int, role: str) -> list[TensorSpec]:
    spans = list(islice(reader.messages(graph, number), MAX_TENSORS + 1))
    if not 1 <= len(spans) <= MAX_TENSORS:
        raise Malformed(f"Its graph has {len(spans) or 'no'} {role}s.")
    return [_tensor(reader, span, role) for span in spans]


def _tensor(reader: Reader, value: Span, role: str) -> TensorSpec:
    name = reader.text(value, _NAME)
    tensor, shape = _tensor_type(reader, value), None
    if tensor is None and role == "output":
        tensor, shape = _rows(reader, value)
    if tensor is None:
        raise InvalidModel(
            f"The {role} {name!r} is not a tensor.",
            why="Models take tensors, and give tensors, score maps or sequences of tensors.",
            hint="Export it with plain tensors; with skl2onnx, use options={'zipmap': False}.",
        )
    dtype = _DTYPES.get(reader.integer(tensor, _ELEM_TYPE))
    if dtype is None:
        raise InvalidModel(
            f"The {role} {name!r} has a type that is not supported.",
            why=f"Supported are {', '.join(_DTYPES.values())}.",
        )
    return TensorSpec(name=name, dtype=dtype, shape=shape or _shape(reader, tensor))


def _tensor_type(reader: Reader, value: Span) -> Span | None:
    found = None
    for kind in reader.messages(value, _TYPE):
        for field in reader.fields(kind):
            if field.number not in (_TENSOR_TYPE, _DENOTATION):
                return None
            if field.number == _TENSOR_TYPE:
                found = checked_span(field)
    return found


def _rows(reader: Reader, value: Span) -> tuple[Span | None, tuple[int, ...]]:
    """The tensor type inside a sequence, or inside the maps of one, and its shape as an array."""
    for kind in reader.messages(value, _TYPE):
        for sequence in reader.messages(kind, _SEQUENCE_TYPE):
            for element in reader.messages(sequence, _SEQUENCE_OF):
                for tensor in reader.messages(element, _TENSOR_TYPE):
                    return tensor, (-1, -1, -1)
                for scores in reader.messages(element, _MAP_TYPE):
                    for to in reader.messages(scores, _MAP_TO):
                        for tensor in reader.messages(to, _TENSOR_TYPE):
                            return tensor, (-1, -1)
    return None, ()


def _shape(reader: Reader, tensor: Span) -> tuple[int, ...]:
    dimensions = (
        reader.integer(span, _DIM_VALUE, -1)
        for shape in reader.messages(tensor, _SHAPE)
        for span in reader.messages(shape, _DIMENSION)
    )
    return tuple(max(size, -1) for size in islice(dimensions, MAX_DIMENSIONS))


def _refuse_external(reader: Reader, model: Span) -> None:
    if any(True for _ in _places(reader, model, "model", 0)):
        raise InvalidModel(
            "The model's weights are in other files.",
            why="One file is imported, and these weights would be missing.",
            hint="Import it with `hookline model import`, which takes the weights from beside it, "
            "or export it as one file.",
        )


def _places(reader: Reader, message: Span, kind: str, depth: int) -> Iterator[str]:
    """Look through everything that may hold a tensor; "" where one does not say its place."""
    if depth > MAX_NESTING * _PER_LEVEL:
        raise Malformed(f"Its graphs are nested more than {MAX_NESTING} deep.")
    parts = PARTS.get(kind, {})
    for field in reader.fields(message):
        if field.number in parts:
            yield from _places(reader, checked_span(field), parts[field.number], depth + 1)
        elif kind == "tensor" and field.number == _EXTERNAL_DATA:
            entry = checked_span(field)
            is_place = reader.text(entry, _KEY) == _LOCATION
            yield reader.text(entry, _VALUE) if is_place else ""
        elif kind == "tensor" and field.number == _DATA_LOCATION and field.value != 0:
            yield ""
