"""How each kind of model becomes one that a replica runs: the step, and the packages it needs.

The pins are releases that work together; they are installed once, into a folder of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

from hookline.core.formats import Kind
from hookline.runtime.backends.packages import TORCH


@dataclass(frozen=True, slots=True)
class Route:
    """`module` does it with `packages`, on Python `python` where only that one will do."""

    title: str
    module: str
    packages: tuple[str, ...] = ()
    python: str = ""
    version: str = "1"  # raised when the step makes something else of the same file


_STEPS = "hookline.convert.steps"
_FROM_TENSORFLOW = f"{_STEPS}.from_tensorflow"
_TENSORFLOW = (
    "numpy==2.4.6",
    "onnx==1.23.2",
    "protobuf==7.36.2",
    "tensorflow-cpu==2.21.0",
    "tf2onnx==1.17.0",
)
# MXNet ended with 1.9.1, which needs a numpy that has np.bool; that one ended with Python 3.11.
_MXNET = ("mxnet==1.9.1", "numpy==1.23.5", "onnx==1.13.1", "protobuf==3.20.3")
# What no service runs: compilers of devices take it.
ONNX_TO_TORCH = Route(
    "PyTorch from ONNX", f"{_STEPS}.onnx_to_torch", (*TORCH.requirements, "onnx==1.23.2")
)
ROUTES: dict[Kind, Route] = {
    "torchscript": Route("TorchScript", f"{_STEPS}.read_torch", TORCH.requirements),
    "pt2": Route("torch.export", f"{_STEPS}.read_torch", TORCH.requirements),
    "savedmodel": Route("TensorFlow SavedModel", _FROM_TENSORFLOW, _TENSORFLOW),
    "graphdef": Route("TensorFlow frozen graph", _FROM_TENSORFLOW, _TENSORFLOW),
    "keras": Route("Keras", _FROM_TENSORFLOW, _TENSORFLOW),
    "hdf5": Route("Keras HDF5", _FROM_TENSORFLOW, _TENSORFLOW),
    "mxnet-symbol": Route("MXNet", f"{_STEPS}.from_mxnet", _MXNET, python="3.11"),
    "neon": Route("neon", f"{_STEPS}.from_neon"),
    "onnx": Route("ONNX with external data", f"{_STEPS}.merge_onnx"),
}
