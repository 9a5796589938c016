"""The kinds of file that cannot be imported: each with why, and with the way that works."""

from __future__ import annotations

from hookline.core.errors import InvalidModel
from hookline.core.formats import Kind

_EXPORT = (
    "In the Python that trained it, run `hookline model export FILE --output model.onnx`, then "
    "import model.onnx."
)
_FROM_ITS_SOURCE = (
    "Convert the model it was made from: a PyTorch model as .pt2, a Keras model as .keras, a "
    "scikit-learn pipeline with `hookline model export`."
)
_NO_COREML = (
    "Only Apple's machines run Core ML, and the converter from it to ONNX knows no model made "
    "since 2020."
)
_KNOWN = "It does not begin as files of ONNX, PyTorch, TensorFlow, Keras, MXNet or neon do."
_IN_ONNX = "Export the model to ONNX in the framework it comes from, and import that."
_WEIGHTS = (
    "In the Python that defines the network, load the weights into it and save the whole: "
    'torch.export.save(torch.export.export(model.eval(), (example,)), "model.pt2"), or '
    'torch.jit.trace(model.eval(), example).save("model.pt").'
)

_REFUSALS: dict[Kind, tuple[str, str, str]] = {
    "empty": ("is empty", "", "Export or download the model again."),
    "lfs": ("is a Git LFS pointer, not the model", "", "Fetch it with `git lfs pull`."),
    "pickle": (
        "is a Python pickle",
        "Opening a pickle runs whatever code is in it, so the platform never does.",
        _EXPORT,
    ),
    "torch-weights": (
        "holds the weights of a PyTorch model without the network they belong to",
        "A state_dict is a pickle of tensors: nothing in it says how to compute with them.",
        _WEIGHTS,
    ),
    "safetensors": (
        "holds weights without the network they belong to",
        "A safetensors file is a table of tensors.",
        _WEIGHTS,
    ),
    "xgboost": (
        "is a model of XGBoost's own format",
        "Nothing here runs it as it is.",
        _EXPORT,
    ),
    "lightgbm": (
        "is a model of LightGBM's own format",
        "Nothing here runs it as it is.",
        _EXPORT,
    ),
    "coreml": (
        "is a Core ML model",
        _NO_COREML,
        _FROM_ITS_SOURCE,
    ),
    "neuron": (
        "is compiled for Inferentia",
        "Streams on instances with its NeuronCores run it, and nothing else does.",
        "Deploy what `hookline model compile` made; here, use the model it was compiled from.",
    ),
    "tflite": ("is a TensorFlow Lite model", "It has been cut down for phones.", _IN_ONNX),
    "gguf": ("is a GGUF file", "It is made for llama.cpp.", _IN_ONNX),
    "unknown": (
        "is not a model that is known here",
        _KNOWN,
        "Check that the file is whole, or export the model to ONNX.",
    ),
}


def refusal(kind: Kind, name: str) -> InvalidModel | None:
    """Why the file `name` cannot be imported; None where it can."""
    if kind not in _REFUSALS:
        return None
    what, why, hint = _REFUSALS[kind]
    return InvalidModel(f"{name} {what}.", why=why, hint=hint)
