"""Networks of the sizes that people serve, with random weights: built here, so nothing is fetched.

`tiny`: 64 → 32 → 10. `convolutions`: the layers of MobileNetV2 at 224 × 224, 1,000 classes.
`encoder`: six transformer layers of MiniLM's size on 64 tokens, mean-pooled.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_TINY = (64, 32, 10)
# expansion, channels, blocks, stride: table 2 of the MobileNetV2 paper (arXiv:1801.04381)
_BLOCKS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
_LAYERS, _WIDTH, _HEADS, _INNER, _WORDS = 6, 384, 12, 1536, 30522
TOKENS = 64


@dataclass
class _Graph:
    """Nodes and weights as they are added; every method gives the name of its output."""

    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: list[onnx.TensorProto] = field(default_factory=list)

    def weight(self, *shape: int, fan_in: int) -> str:
        values = self.random.standard_normal(shape, np.float32) * np.float32((2 / fan_in) ** 0.5)
        return self.constant(values)

    def constant(self, values: np.ndarray) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def add(self, kind: str, *inputs: str, **attributes: object) -> str:
        name = f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def model(self, x: onnx.ValueInfoProto, last: str, shape: list[str | int]) -> onnx.ModelProto:
        self.nodes.append(helper.make_node("Identity", [last], ["y"]))
        y = helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)
        graph = helper.make_graph(self.nodes, "bench", [x], [y], self.weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def tiny() -> onnx.ModelProto:
    """x: float32 [batch, 64] to y: [batch, 10], scores that add up to 1."""
    graph, last = _Graph(), "x"
    for layer, (rows, columns) in enumerate(pairwise(_TINY)):
        last = graph.add("MatMul", last, graph.weight(rows, columns, fan_in=rows))
        last = graph.add("Relu", last) if layer == 0 else last
    last = graph.add("Softmax", last, axis=-1)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", _TINY[0]])
    return graph.model(x, last, ["batch", _TINY[-1]])


def convolutions() -> onnx.ModelProto:
    """x: float32 [batch, 3, 224, 224] to y: [batch, 1000], scores that add up to 1."""
    graph = _Graph()
    last, channels = _convolution(graph, "x", 3, 32, size=3, stride=2), 32
    for expansion, wide, blocks, stride in _BLOCKS:
        for block in range(blocks):
            last = _bottleneck(graph, last, (channels, wide), expansion, stride if not block else 1)
            channels = wide
    last = _convolution(graph, last, channels, 1280)
    last = graph.add("Flatten", graph.add("GlobalAveragePool", last))
    last = graph.add("MatMul", last, graph.weight(1280, 1000, fan_in=1280))
    last = graph.add("Softmax", last, axis=-1)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 224, 224])
    return graph.model(x, last, ["batch", 1000])


def _bottleneck(
    graph: _Graph, first: str, channels: tuple[int, int], expansion: int, stride: int
) -> str:
    narrow, wide = channels
    inner, last = narrow * expansion, first
    if expansion > 1:
        last = _convolution(graph, last, narrow, inner)
    last = _convolution(graph, last, inner, inner, size=3, stride=stride, groups=inner)
    last = _convolution(graph, last, inner, wide, is_linear=True)
    return graph.add("Add", first, last) if stride == 1 and narrow == wide else last


def _convolution(  # noqa: PLR0913 - a convolution has that many
    graph: _Graph,
    last: str,
    narrow: int,
    wide: int,
    *,
    size: int = 1,
    stride: int = 1,
    groups: int = 1,
    is_linear: bool = False,
) -> str:
    inputs = narrow // groups
    weight = graph.weight(wide, inputs, size, size, fan_in=2 * inputs * size * size)
    last = graph.add(
        "Conv",
        last,
        weight,
        graph.constant(np.zeros(wide, np.float32)),
        kernel_shape=[size, size],
        strides=[stride, stride],
        pads=[size // 2] * 4,
        group=groups,
    )
    if is_linear:
        return last
    return graph.add("Clip", last, graph.constant(np.float32(0)), graph.constant(np.float32(6)))


def encoder() -> onnx.ModelProto:
    """x: int64 [batch, 64], token numbers, to y: [batch, 384]."""
    graph = _Graph()
    last = graph.add("Gather", graph.weight(_WORDS, _WIDTH, fan_in=_WIDTH), "x")
    for _ in range(_LAYERS):
        last = _norm(graph, graph.add("Add", last, _attention(graph, last)))
        inner = _dense(graph, last, _WIDTH, _INNER)
        half = graph.add("Mul", inner, graph.constant(np.float32(0.5)))
        root = graph.add("Div", inner, graph.constant(np.float32(2**0.5)))
        erf = graph.add("Add", graph.add("Erf", root), graph.constant(np.float32(1)))
        outer = _dense(graph, graph.add("Mul", half, erf), _INNER, _WIDTH)
        last = _norm(graph, graph.add("Add", last, outer))
    last = graph.add("ReduceMean", last, axes=[1], keepdims=0)
    x = helper.make_tensor_value_info("x", TensorProto.INT64, ["batch", TOKENS])
    return graph.model(x, last, ["batch", _WIDTH])


def _attention(graph: _Graph, last: str) -> str:
    split = graph.constant(np.array([0, TOKENS, _HEADS, _WIDTH // _HEADS], np.int64))
    heads = [graph.add("Reshape", _dense(graph, last, _WIDTH, _WIDTH), split) for _ in range(3)]
    queries = graph.add("Transpose", heads[0], perm=[0, 2, 1, 3])
    keys = graph.add("Transpose", heads[1], perm=[0, 2, 3, 1])
    values = graph.add("Transpose", heads[2], perm=[0, 2, 1, 3])
    scale = graph.constant(np.float32((_WIDTH / _HEADS) ** -0.5))
    scores = graph.add("Mul", graph.add("MatMul", queries, keys), scale)
    mixed = graph.add("MatMul", graph.add("Softmax", scores, axis=-1), values)
    joined = graph.add("Transpose", mixed, perm=[0, 2, 1, 3])
    flat = graph.constant(np.array([0, TOKENS, _WIDTH], np.int64))
    return _dense(graph, graph.add("Reshape", joined, flat), _WIDTH, _WIDTH)


def _dense(graph: _Graph, last: str, rows: int, columns: int) -> str:
    product = graph.add("MatMul", last, graph.weight(rows, columns, fan_in=2 * rows))
    return graph.add("Add", product, graph.constant(np.zeros(columns, np.float32)))


def _norm(graph: _Graph, last: str) -> str:
    ones = graph.constant(np.ones(_WIDTH, np.float32))
    zeros = graph.constant(np.zeros(_WIDTH, np.float32))
    return graph.add("LayerNormalization", last, ones, zeros, axis=-1)
