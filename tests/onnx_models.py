"""Tiny ONNX models, one per kind of model the runtime must take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Shape = Sequence[int | str | None]
FLOAT, INT8, INT64, UINT8, STRING = (
    TensorProto.FLOAT,
    TensorProto.INT8,
    TensorProto.INT64,
    TensorProto.UINT8,
    TensorProto.STRING,
)
OPSET, IR_VERSION = 17, 8


def save(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, tuple[int, Shape]],
    outputs: Mapping[str, tuple[int, Shape]],
    constants: Mapping[str, np.ndarray[Any, Any]] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Write a checked model to `path`; tensors are name → (element type, shape)."""
    graph = helper.make_graph(
        list(nodes),
        "tiny",
        [_value(name, *spec) for name, spec in inputs.items()],
        [_value(name, *spec) for name, spec in outputs.items()],
        [numpy_helper.from_array(value, name) for name, value in (constants or {}).items()],
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    helper.set_model_props(model, dict(metadata or {}))
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path


def _value(name: str, element_type: int, shape: Shape) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, element_type, list(shape))


def identity(
    path: Path,
    shape: Shape = ("N", 3),
    element_type: int = FLOAT,
    output_shape: Shape | None = None,
) -> Path:
    """y = x."""
    return save(
        path,
        [helper.make_node("Identity", ["x"], ["y"])],
        {"x": (element_type, shape)},
        {"y": (element_type, shape if output_shape is None else output_shape)},
    )


def linear(
    path: Path,
    batch: int | str = "N",
    features: int = 4,
    classes: int = 3,
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """scores = softmax(x · W); class k has weight k + 1 on feature k."""
    weights = np.zeros((features, classes), np.float32)
    for at in range(min(features, classes)):
        weights[at, at] = at + 1
    return save(
        path,
        [
            helper.make_node("MatMul", ["x", "W"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["scores"], axis=-1),
        ],
        {"x": (FLOAT, (batch, features))},
        {"scores": (FLOAT, (batch, classes))},
        {"W": weights},
        metadata,
    )


def image_mean(
    path: Path,
    channels: int = 3,
    height: int | str = 4,
    width: int | str = 5,
    layout: str = "NCHW",
    element_type: int = FLOAT,
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """means[c] = the mean of channel c: shows what a preprocessor made of an image."""
    is_first = layout == "NCHW"
    shape = ("N", channels, height, width) if is_first else ("N", height, width, channels)
    axes = [2, 3] if is_first else [1, 2]
    return save(
        path,
        [
            helper.make_node("Cast", ["image"], ["floats"], to=FLOAT),
            helper.make_node("ReduceMean", ["floats"], ["means"], axes=axes, keepdims=0),
        ],
        {"image": (element_type, shape)},
        {"means": (FLOAT, ("N", channels))},
        metadata=metadata,
    )


def convolution(path: Path, batch: int | str = "N") -> Path:
    """A 1 → 2 channel convolution on 6×6 gray images, with global pooling: scores [N, 2]."""
    kernels = np.stack([np.ones((1, 3, 3)), np.eye(3)[None]]).astype(np.float32)
    return save(
        path,
        [
            helper.make_node("Conv", ["image", "W"], ["maps"]),
            helper.make_node("GlobalAveragePool", ["maps"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["scores"]),
        ],
        {"image": (FLOAT, (batch, 1, 6, 6))},
        {"scores": (FLOAT, (batch, 2))},
        {"W": kernels},
    )


def two_in_two_out(path: Path) -> Path:
    """total = a + b, difference = a - b; a and b: float [N, 2]."""
    return save(
        path,
        [
            helper.make_node("Add", ["a", "b"], ["total"]),
            helper.make_node("Sub", ["a", "b"], ["difference"]),
        ],
        {"a": (FLOAT, ("N", 2)), "b": (FLOAT, ("N", 2))},
        {"total": (FLOAT, ("N", 2)), "difference": (FLOAT, ("N", 2))},
    )


def embedding(path: Path) -> Path:
    """vectors = table[tokens]; tokens: int64 [N, T] below 4; vectors: float [N, T, 2]."""
    return save(
        path,
        [helper.make_node("Gather", ["table", "tokens"], ["vectors"])],
        {"tokens": (INT64, ("N", "T"))},
        {"vectors": (FLOAT, ("N", "T", 2))},
        {"table": np.arange(8, dtype=np.float32).reshape(4, 2)},
    )


def attended(path: Path) -> Path:
    """mean = that of the tokens where mask is 1, per_token = token * mask.

    tokens, mask: float [N, T]; mean: float [N, 1]; per_token: float [N, T_out].
    """
    return save(
        path,
        [
            helper.make_node("Mul", ["tokens", "mask"], ["per_token"]),
            helper.make_node("ReduceSum", ["per_token", "axes"], ["sum"]),
            helper.make_node("ReduceSum", ["mask", "axes"], ["count"]),
            helper.make_node("Div", ["sum", "count"], ["mean"]),
        ],
        {"tokens": (FLOAT, ("N", "T")), "mask": (FLOAT, ("N", "T"))},
        {"mean": (FLOAT, ("N", 1)), "per_token": (FLOAT, ("N", "T_out"))},
        {"axes": np.array([1])},
    )


def sums(path: Path) -> Path:
    """sum = the sum of one example's values, padding and all; pairs = value + value of each pair.

    x: float [N, T]; sum: float [N, 1]; pairs: float [N, T, T].
    """
    return save(
        path,
        [
            helper.make_node("ReduceSum", ["x", "axes"], ["sum"]),
            helper.make_node("Unsqueeze", ["x", "axes"], ["row"]),
            helper.make_node("Unsqueeze", ["x", "last"], ["column"]),
            helper.make_node("Add", ["row", "column"], ["pairs"]),
        ],
        {"x": (FLOAT, ("N", "T"))},
        {"sum": (FLOAT, ("N", 1)), "pairs": (FLOAT, ("N", "T", "T"))},
        {"axes": np.array([1]), "last": np.array([2])},
    )


def doubled(path: Path) -> Path:
    """y = x twice, one after the other: an axis that grows with x's in its own way."""
    return save(
        path,
        [helper.make_node("Concat", ["x", "x"], ["y"], axis=1)],
        {"x": (FLOAT, ("N", "T"))},
        {"y": (FLOAT, ("N", "D"))},
    )


def text(path: Path) -> Path:
    """echo = the words as they came; words: string [N, 1]."""
    return save(
        path,
        [helper.make_node("Identity", ["words"], ["echo"])],
        {"words": (STRING, ("N", 1))},
        {"echo": (STRING, ("N", 1))},
    )


def not_a_number(path: Path) -> Path:
    """y = x / 0: NaN for 0, Infinity for positive x, -Infinity for negative x."""
    return save(
        path,
        [helper.make_node("Div", ["x", "zero"], ["y"])],
        {"x": (FLOAT, ("N", 3))},
        {"y": (FLOAT, ("N", 3))},
        {"zero": np.zeros(1, np.float32)},
    )


def total(path: Path) -> Path:
    """sum = the sum of everything in the batch: an output that cannot be split."""
    return save(
        path,
        [helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=0)],
        {"x": (FLOAT, ("N", 3))},
        {"sum": (FLOAT, ())},
    )


def positives(path: Path) -> Path:
    """found = the indices of positive values: as many rows as were found, not one per example."""
    return save(
        path,
        [
            helper.make_node("Greater", ["x", "zero"], ["is_positive"]),
            helper.make_node("NonZero", ["is_positive"], ["columns"]),
            helper.make_node("Transpose", ["columns"], ["found"]),
        ],
        {"x": (FLOAT, ("N", 3))},
        {"found": (INT64, ("found_count", 2))},
        {"zero": np.zeros(1, np.float32)},
    )


def without_batch_axis(path: Path) -> Path:
    """y = the sum of the channels of one image [3, 4, 5], with no batch axis at all."""
    return save(
        path,
        [helper.make_node("ReduceSum", ["x", "axes"], ["y"], keepdims=0)],
        {"x": (FLOAT, (3, 4, 5))},
        {"y": (FLOAT, (4, 5))},
        {"axes": np.array([0])},
    )


def wrong_about_its_batch(path: Path) -> Path:
    """Claims any batch size and reshapes to one example inside, as careless exports do."""
    return save(
        path,
        [helper.make_node("Reshape", ["x", "shape"], ["y"])],
        {"x": (FLOAT, ("N", 3))},
        {"y": (FLOAT, ("N", 3))},
        {"shape": np.array([1, 3])},
    )


def token_scores(path: Path) -> Path:
    """scores = x: logits [N, T, V] as a sequence model gives them."""
    return save(
        path,
        [helper.make_node("Identity", ["x"], ["scores"])],
        {"x": (FLOAT, ("N", 2, 3))},
        {"scores": (FLOAT, ("N", 2, 3))},
    )


def score_maps(path: Path) -> Path:
    """What scikit-learn's converters write: label [N], and scores as one {class: score} per row."""
    graph = helper.make_graph(
        [
            helper.make_node("ArgMax", ["x"], ["best"], axis=1, keepdims=0),
            helper.make_node("Gather", ["names", "best"], ["label"]),
            helper.make_node(
                "ZipMap", ["x"], ["scores"], domain="ai.onnx.ml", classlabels_strings=["cat", "dog"]
            ),
        ],
        "tiny",
        [_value("x", FLOAT, ("N", 2))],
        [
            _value("label", STRING, ("N",)),
            helper.make_value_info(
                "scores",
                helper.make_sequence_type_proto(
                    helper.make_map_type_proto(STRING, helper.make_tensor_type_proto(FLOAT, []))
                ),
            ),
        ],
        [helper.make_tensor("names", STRING, [2], [b"cat", b"dog"])],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    path.write_bytes(model.SerializeToString())
    return path
