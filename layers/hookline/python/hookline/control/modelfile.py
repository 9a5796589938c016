"""What an uploaded model file takes and gives: by its own word, or by its importer's."""

from __future__ import annotations

from typing import BinaryIO

from hookline.core import onnxfile
from hookline.core.errors import InvalidModel
from hookline.core.formats import kind_of
from hookline.core.models import TensorSpec
from hookline.core.onnxfile import OnnxModel as Described
from hookline.core.requests import NewModel

_TITLES = {
    "onnx": "an ONNX",
    "torchscript": "a TorchScript",
    "pt2": "a .pt2",
    "neuron": "a compiled",
}
_HINT = "Import it with `hookline model import`, which finds out what it is."


def inspect(file: BinaryIO, body: NewModel) -> Described:
    """Describe the model in a seekable file. Raise InvalidModel where it is not what `body` says.

    Files of PyTorch hold code, which is never run here: what they take and give is believed.
    """
    found = kind_of(file)
    if found != body.format and (body.format != "onnx" or found in _TITLES):
        raise InvalidModel(f"The file is not {_TITLES[body.format]} model.", hint=_HINT)
    if body.format == "onnx":
        return onnxfile.inspect(file)
    if (body.format == "neuron") != (body.compilation is not None):
        raise InvalidModel(
            "A model has a compilation where its format is neuron, and nowhere else.",
            hint="Compile one with `hookline model compile`.",
        )
    if not body.inputs or not body.outputs:
        raise InvalidModel(
            f"It is not said what the model takes and gives, and {_TITLES[body.format]} file "
            "does not say it.",
            hint=_HINT,
        )
    return Described(
        inputs=tuple(TensorSpec(**each.model_dump()) for each in body.inputs),
        outputs=tuple(TensorSpec(**each.model_dump()) for each in body.outputs),
        metadata={},
        opset=0,
        producer="",
    )
