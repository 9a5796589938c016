"""Makes an ONNX model compute in whole numbers of 8 bits.

With examples every product does, in ranges that they were seen to need; without any, the matrix
products do, in ranges found anew for each input.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from hookline.convert.examples import Example, stored_examples
from hookline.convert.job import Job, Result
from hookline.core.errors import InvalidModel

FILE = "model.onnx"
_READY = "ready.onnx"
# Of what onnxruntime can do dynamically: a convolution in ConvInteger is slower than in float32.
_PRODUCTS = ("Attention", "Gemm", "LSTM", "MatMul")
_QUANTIZED = frozenset(
    {"ConvInteger", "DequantizeLinear", "DynamicQuantizeLSTM", "MatMulInteger", "QAttention"}
)


def run(job: Job) -> Result:
    """Write the model into the job's folder; `details["examples"]` names a file of them, or not."""
    folder = Path(job.folder)
    ready, made = folder / _READY, folder / FILE
    quant_pre_process(job.source, ready, skip_symbolic_shape=True)
    examples = job.details.get("examples")
    if examples:
        # 7 bits of each weight: two products of 8 fill up where the CPU adds them in 16 bits.
        quantize_static(
            ready,
            made,
            _Reader(stored_examples(Path(examples))),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
    else:
        quantize_dynamic(
            ready,
            made,
            op_types_to_quantize=list(_PRODUCTS),
            per_channel=True,
            weight_type=QuantType.QInt8,
        )
    _refuse_if_unchanged(made, has_examples=bool(examples))
    return Result(file=FILE, tool=f"onnxruntime {onnxruntime.__version__}")


class _Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    """One example at a time, with a batch axis, as onnxruntime asks for them."""

    def __init__(self, examples: Iterator[Example]) -> None:
        self._examples = examples

    def get_next(self) -> Any:
        return next(self._examples, None)


def _refuse_if_unchanged(made: Path, *, has_examples: bool) -> None:
    kinds = {node.op_type for node in onnx.load(made).graph.node}
    if kinds & _QUANTIZED:
        return
    raise InvalidModel(
        "Nothing in the model can be computed in int8.",
        why="It has no product of what comes in with constant weights."
        if has_examples
        else "It has no matrix product with constant weights.",
        hint="Use fp16 or mixed."
        if has_examples
        else "Give --calibrate with files: then convolutions are made int8 as well.",
    )
