"""Makes an ONNX file of an MXNet symbol and its parameters, with MXNet's own exporter.

It runs in an environment that holds MXNet 1.9.1, its last release, and the onnx of its time.
"""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import mxnet as mx
import numpy as np
from mxnet import onnx as exporter

from hookline.convert.cases import Array, record
from hookline.convert.job import Job, Result, Tensor
from hookline.core.errors import InvalidInput, InvalidModel

FILE = "model.onnx"
_LABEL = re.compile(r".*label\d*")  # what losses are given in training
_LOSSES: dict[str, tuple[str, dict[str, str]]] = {
    "SoftmaxOutput": ("softmax", {"axis": "1"}),
    "LogisticRegressionOutput": ("sigmoid", {}),
    "LinearRegressionOutput": ("_copy", {}),
    "MAERegressionOutput": ("_copy", {}),
}
_KINDS = re.compile(r"^(?:arg|aux):")


def run(job: Job) -> Result:
    """Write the model into the job's folder, and what the original answers."""
    logging.disable(logging.WARNING)
    symbol_file = Path(job.source)
    prefix = symbol_file.name.removesuffix("-symbol.json")
    files = sorted(symbol_file.parent.glob(f"{prefix}-*.params"))
    if not files:
        raise InvalidModel("There is no file of parameters beside the symbol.")
    symbol = mx.sym.load(str(symbol_file))
    weights = {_KINDS.sub("", name): value for name, value in mx.nd.load(str(files[-1])).items()}
    names = [name for name in symbol.list_inputs() if name not in weights]
    labels = [name for name in names if _LABEL.fullmatch(name)]
    names = [name for name in names if name not in labels]
    inputs = [Tensor(name, "float32", shape) for name, shape in _shapes(job, symbol, names)]
    record(job, inputs, lambda given: _answer(symbol, weights, names, labels, given))
    _export(job, symbol, weights, inputs)
    return Result(file=FILE, inputs=tuple(inputs), tool=f"mxnet {mx.__version__}")


def _shapes(job: Job, symbol: Any, names: list[str]) -> list[tuple[str, tuple[int, ...]]]:
    """Symbols rarely keep shapes, so the importer says the first input's."""
    stored = {name: symbol.attr_dict().get(name, {}).get("__shape__", "") for name in names}
    said = {name: tuple(int(n) for n in re.findall(r"\d+", text)) for name, text in stored.items()}
    if job.input_shape and names:
        said[names[0]] = job.input_shape
    unknown = [name for name in names if not said[name] or 0 in said[name][1:]]
    if unknown or not names:
        raise InvalidInput(
            f"The MXNet model does not say what shape {', '.join(unknown) or 'it'} takes.",
            hint="Give --input-shape with the batch axis first, as 1,3,224,224.",
        )
    return [(name, (-1, *shape[1:])) for name, shape in said.items()]


def _answer(
    symbol: Any, weights: Any, names: list[str], labels: list[str], given: list[Array]
) -> list[Array]:
    feeds = {name: mx.nd.array(value) for name, value in zip(names, given, strict=True)}
    rows = len(given[0])
    wanted = {name: value.shape for name, value in feeds.items()}
    wanted |= dict.fromkeys(labels, (rows,))
    bound = symbol.simple_bind(mx.cpu(), grad_req="null", **wanted)
    arguments = {n: v for n, v in weights.items() if n in bound.arg_dict}
    states = {n: v for n, v in weights.items() if n in bound.aux_dict}
    bound.copy_params_from(arguments, states)
    return [np.asarray(each.asnumpy()) for each in bound.forward(is_train=False, **feeds)]


def _export(job: Job, symbol: Any, weights: Any, inputs: list[Tensor]) -> None:
    one = [(1, *tensor.shape[1:]) for tensor in inputs]
    any_number = [("N", *tensor.shape[1:]) for tensor in inputs]
    try:
        exporter.export_model(
            _without_losses(symbol),
            weights,
            one,
            np.float32,
            str(Path(job.folder) / FILE),
            dynamic=True,
            dynamic_input_shapes=any_number,
        )
    except AttributeError as error:  # how the exporter says that it knows no such operator
        raise InvalidModel(
            "The MXNet model has an operator that cannot be written as ONNX.",
            why=f"{str(error)[:200]}.",
            hint="Rebuild that part of the model with other operators.",
        ) from error


def _without_losses(symbol: Any) -> Any:
    """The symbol with what its losses answer instead of them: the exporter trips over labels."""
    stored = json.loads(symbol.tojson())
    for node in stored["nodes"]:
        if node["op"] in _LOSSES:
            node["op"], node["attrs"] = _LOSSES[node["op"]]
            node["inputs"] = node["inputs"][:1]
    return mx.sym.load_json(json.dumps(stored))
