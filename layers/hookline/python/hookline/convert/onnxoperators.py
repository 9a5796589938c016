"""The operators of ONNX that become PyTorch's, and which of them a file uses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from hookline.core.onnxfile import PARTS
from hookline.core.protobuf import Malformed, Reader, Span, checked_span

_OPERATOR, _DOMAIN = 4, 7  # NodeProto
_OWN_DOMAINS = ("", "ai.onnx")
_MAX_DEPTH = 100

# `hookline.convert.steps.onnx_to_torch` has a function for each but Constant.
_KNOWN = """
Abs Add And ArgMax AveragePool BatchNormalization Cast Ceil Clip Concat Constant ConstantOfShape
Conv ConvTranspose Cos Div Dropout Elu Equal Erf Exp Expand Flatten Floor Gather Gelu Gemm
GlobalAveragePool GlobalMaxPool Greater GreaterOrEqual HardSigmoid HardSwish Identity
InstanceNormalization LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax MatMul Max
MaxPool Mean Min Mul Neg Not Or PRelu Pad Pow Reciprocal ReduceL2 ReduceMax ReduceMean ReduceMin
ReduceSum Relu Reshape Round Selu Shape Sigmoid Sign Sin Slice Softmax Softplus Split Sqrt Squeeze
Sub Sum Tanh Tile Transpose Unsqueeze Where
"""
KNOWN = frozenset(_KNOWN.split())


def unknown_operators(file: BinaryIO) -> list[str]:
    """The names of operators in a seekable ONNX file that are not among them, sorted.

    Raise Malformed for a file that is none.
    """
    reader = Reader(file)
    return sorted(set(_operators(reader, reader.whole(), "model", 0)) - KNOWN)


def _operators(reader: Reader, message: Span, kind: str, depth: int) -> Iterator[str]:
    if depth > _MAX_DEPTH:
        raise Malformed("Its graphs are nested too deep.")
    if kind == "node":
        name, domain = reader.text(message, _OPERATOR), reader.text(message, _DOMAIN)
        yield name if domain in _OWN_DOMAINS else f"{domain}.{name}"
    parts = PARTS.get(kind, {})
    for field in reader.fields(message):
        if field.number in parts:
            yield from _operators(reader, checked_span(field), parts[field.number], depth + 1)
