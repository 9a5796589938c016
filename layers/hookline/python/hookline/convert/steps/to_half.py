"""Makes an ONNX model compute in float16, wholly or where that costs little accuracy.

What goes in and comes out keeps its type.
"""

from __future__ import annotations

from pathlib import Path

import onnx
from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16

from hookline.convert.job import Job, Result

FILE = "model.onnx"
_SMALLEST, _LARGEST = 2.0**-24, 65504.0  # of float16; the converter would cut at 10,000
# Sums over many values, exponents and divisions by small ones leave float16's 3 digits and 65504.
_DELICATE = (
    "BatchNormalization",
    "Exp",
    "GlobalAveragePool",
    "GroupNormalization",
    "InstanceNormalization",
    "LayerNormalization",
    "Log",
    "LogSoftmax",
    "LpNormalization",
    "Pow",
    "ReduceLogSumExp",
    "ReduceMean",
    "ReduceSum",
    "Sigmoid",
    "Softmax",
    "Sqrt",
)


def run(job: Job) -> Result:
    """Write the model into the job's folder; `details["precision"]` is fp16 or mixed."""
    kept = _DELICATE if job.details["precision"] == "mixed" else ()
    model = convert_float_to_float16(
        onnx.load(job.source),
        keep_io_types=True,
        min_positive_val=_SMALLEST,
        max_finite_val=_LARGEST,
        op_block_list=[*DEFAULT_OP_BLOCK_LIST, *kept],
    )
    onnx.save(model, Path(job.folder) / FILE)
    return Result(file=FILE, tool=f"onnx {onnx.__version__}")
