"""Stores the weights of an ONNX model's matrix products in 4 bits each.

A block of BLOCK weights of one column has a scale and a zero point; the operator MatMulNBits makes
them floats again where they are used (onnxruntime's contrib operators, domain com.microsoft).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from hookline.convert.job import Job, Result
from hookline.core.errors import InvalidModel

FILE = "model.onnx"
BLOCK = 32
_LEVELS = 15
_DOMAIN, _VERSION = "com.microsoft", 1
Array = np.ndarray[Any, Any]


def run(job: Job) -> Result:
    """Write the model into the job's folder."""
    model = onnx.load(job.source)
    weights = {each.name: each for each in model.graph.initializer}
    nodes: list[Any] = []
    for node in model.graph.node:
        nodes += _in_four_bits(node, weights, model.graph) or [node]
    if not any(node.op_type == "MatMulNBits" for node in nodes):
        raise InvalidModel(
            "Nothing in the model can be stored in int4.",
            why="It has no matrix product with constant weights of float32.",
            hint="Use int8 with --calibrate, which takes convolutions too, or fp16.",
        )
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    _drop_unused(model.graph)
    if all(opset.domain != _DOMAIN for opset in model.opset_import):
        model.opset_import.append(helper.make_opsetid(_DOMAIN, _VERSION))
    onnx.save(model, Path(job.folder) / FILE)
    return Result(file=FILE, tool=f"onnx {onnx.__version__}")


def quantized(weight: Array) -> tuple[Array, Array, Array]:
    """Weights [N, K] as MatMulNBits takes them: packed, scales and zero points.

    packed: uint8 [N, blocks, BLOCK / 2], the first of two in the lower bits; scales: float32
    [N * blocks]; zero points: uint8 [N * ceil(blocks / 2)], packed likewise.
    """
    columns, length = weight.shape
    blocks = -(-length // BLOCK)
    padded = np.zeros((columns, blocks * BLOCK), np.float32)
    padded[:, :length] = weight
    grouped = padded.reshape(columns, blocks, BLOCK)
    low, high = np.minimum(grouped.min(2), 0), np.maximum(grouped.max(2), 0)
    scales = (high - low) / _LEVELS
    scales[scales == 0] = 1
    zeros = np.clip(np.round(-low / scales), 0, _LEVELS)
    levels = np.clip(np.round(grouped / scales[..., None]) + zeros[..., None], 0, _LEVELS)
    return _packed(levels), scales.astype(np.float32).ravel(), _packed(zeros).ravel()


def _packed(levels: Array) -> Array:
    """Two numbers below 16 in each byte, along the last axis."""
    whole = levels.astype(np.uint8)
    if whole.shape[-1] % 2:
        whole = np.concatenate([whole, np.zeros((*whole.shape[:-1], 1), np.uint8)], axis=-1)
    both: Array = whole[..., 0::2] | (whole[..., 1::2] << 4)
    return both


def _in_four_bits(node: Any, weights: dict[str, Any], graph: Any) -> list[Any]:
    """What computes the same as `node`; nothing for one that is no such product."""
    weight = _weight(node, weights)
    if weight is None:
        return []
    name = node.input[1]
    known = {each.name for each in graph.initializer}
    parts = dict(zip(("int4", "scales", "zeros"), quantized(weight), strict=True))
    for part, value in parts.items():
        if f"{name}_{part}" not in known:
            graph.initializer.append(numpy_helper.from_array(value, f"{name}_{part}"))
    answer, has_bias = node.output[0], len(node.input) > 2 and bool(node.input[2])  # noqa: PLR2004 - Gemm's third input
    product = f"{answer}_product" if has_bias else answer
    made = helper.make_node(
        "MatMulNBits",
        [node.input[0], *(f"{name}_{part}" for part in parts)],
        [product],
        name=f"{node.name or answer}_int4",
        domain=_DOMAIN,
        K=weight.shape[1],
        N=weight.shape[0],
        bits=4,
        block_size=BLOCK,
    )
    bias = helper.make_node("Add", [product, node.input[2]], [answer]) if has_bias else None
    return [made, bias] if bias else [made]


def _weight(node: Any, weights: dict[str, Any]) -> Array | None:
    """The constant matrix [N, K] that `node` multiplies by, if that is what it does."""
    if node.op_type not in ("Gemm", "MatMul") or node.input[1] not in weights:
        return None
    stored = weights[node.input[1]]
    if stored.data_type != onnx.TensorProto.FLOAT or len(stored.dims) != 2:  # noqa: PLR2004 - a matrix
        return None
    told = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    if told.get("transA") or told.get("alpha", 1.0) != 1.0 or told.get("beta", 1.0) != 1.0:
        return None
    value: Array = numpy_helper.to_array(stored)
    return value if told.get("transB") else value.T


def _drop_unused(graph: Any) -> None:
    used = {name for node in graph.node for name in node.input} | {o.name for o in graph.output}
    kept = [each for each in graph.initializer if each.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
