"""Run ONNX models on onnxruntime."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from hookline.runtime import telemetry

os.environ.update(telemetry.OFF)

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from hookline.core.errors import InvalidInput, InvalidOutput, ModelLoadFailed
from hookline.runtime.backends import providers
from hookline.runtime.backends.tensors import STRING, TensorSpec

_ERRORS = (
    ort_errors.EPFail,
    ort_errors.EngineError,
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NoModel,
    ort_errors.NoSuchFile,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
    RuntimeError,
    ValueError,
)
_DTYPES = {
    "tensor(bool)": "bool",
    "tensor(double)": "float64",
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(int16)": "int16",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(int8)": "int8",
    "tensor(string)": STRING,
    "tensor(uint16)": "uint16",
    "tensor(uint32)": "uint32",
    "tensor(uint64)": "uint64",
    "tensor(uint8)": "uint8",
}
# What scikit-learn's converters write for class probabilities: one {class: score} per row.
_SCORE_MAP = re.compile(r"seq\(map\((int64|string),tensor\((float|double)\)\)\)")
# What they write where there are several classifiers: one table of scores each.
_TABLES = re.compile(r"seq\(tensor\((float|double|int64|string)\)\)")
_SEVERITY_FATAL = 4  # errors come as exceptions, and are logged where they are handled
_NOISE = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : |/\S*onnxruntime\S*/\S+\.(?:cc|h):\d+ ")


class OnnxBackend:
    """An ONNX model in this process."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        self.inputs = [_spec(node, "input") for node in session.get_inputs()]
        self.outputs = [_spec(node, "output") for node in session.get_outputs()]
        self.metadata: Mapping[str, str] = session.get_modelmeta().custom_metadata_map
        self._output_names = [output.name for output in self.outputs]

    @classmethod
    def load(cls, path: str, *, threads: int, gpus: int) -> OnnxBackend:
        """Load the model file at `path`. Raise ModelLoadFailed, saying why."""
        asked = providers.wanted(gpus, onnxruntime.get_available_providers())
        try:
            session = onnxruntime.InferenceSession(path, _options(threads), providers=asked)
        except _ERRORS as error:
            raise ModelLoadFailed(
                "The model cannot be loaded.", why=_why(error, path), hint="Is it an ONNX file?"
            ) from error
        providers.check(asked, session.get_providers())
        return cls(session)

    def run(self, feeds: Mapping[str, np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
        try:
            values = self._session.run(self._output_names, feeds)
        except _ERRORS as error:
            raise InvalidInput("The model failed on this input.", why=_why(error)) from error
        return [_array(value) for value in values]


def _options(threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads  # 0 lets onnxruntime take one per core
    options.inter_op_num_threads = 1
    # The arena would keep the memory of the largest batch ever seen, and is no faster here.
    options.enable_cpu_mem_arena = False
    # Threads that spin while they wait take the cores from HTTP, decoding and the other callers.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = _SEVERITY_FATAL
    return options


def _why(error: Exception, path: str = "") -> str:
    """Onnxruntime's own sentence, without its error codes, its source lines and our paths."""
    text = _NOISE.sub("", str(error).strip())
    return text.replace(path, "the model") if path else text


def _spec(node: onnxruntime.NodeArg, kind: str) -> TensorSpec:
    is_score_map = kind == "output" and _SCORE_MAP.fullmatch(node.type)
    if is_score_map:
        dtype = "float64" if is_score_map[2] == "double" else "float32"
        return TensorSpec(node.name, dtype, (-1, -1))
    tables = kind == "output" and _TABLES.fullmatch(node.type)
    if tables:
        return TensorSpec(node.name, _DTYPES[f"tensor({tables[1]})"], (-1, -1, -1))
    if node.type not in _DTYPES:
        raise ModelLoadFailed(
            f"The {kind} {node.name} has the type {node.type}, which is not supported.",
            hint=f"Supported are {', '.join(_DTYPES)}.",
        )
    shape = tuple(size if isinstance(size, int) else -1 for size in node.shape)
    axes = tuple(size if isinstance(size, str) else "" for size in node.shape)
    return TensorSpec(node.name, _DTYPES[node.type], shape, axes)


def _array(value: Any) -> np.ndarray[Any, Any]:
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, list) and all(isinstance(row, dict) for row in value):
        return np.array([list(row.values()) for row in value], np.float32)
    if isinstance(value, list) and len({np.shape(table) for table in value}) == 1:
        return np.stack(value, axis=1)  # the examples stay the first axis
    raise InvalidOutput(
        f"The model answered a {type(value).__name__} where a tensor was expected.",
        why="It is no score map, and no sequence of tensors of one shape.",
        hint="Export the model with one tensor for each output.",
    )
