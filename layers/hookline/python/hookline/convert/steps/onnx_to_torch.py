"""Makes TorchScript of an ONNX model: its operators become PyTorch's, and are traced.

It runs in an environment that holds torch, numpy and onnx.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper

from hookline.convert.cases import held, recorded
from hookline.convert.job import Job, Result
from hookline.convert.steps.torch_operators import OPERATORS, Node
from hookline.core.errors import InvalidModel, Unsupported
from hookline.runtime.backends.pytorch import last_line

FILE = "model.pt"


class Network(torch.nn.Module):  # type: ignore[misc]  # torch is in its own environment
    """Runs the graph of an ONNX model node by node."""

    def __init__(self, model: onnx.ModelProto) -> None:
        super().__init__()
        graph = model.graph
        opset = max(each.version for each in model.opset_import if each.domain in ("", "ai.onnx"))
        known = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
        for node in graph.node:
            if node.op_type == "Constant":
                known[node.output[0]] = _constant(node)
        self._weights = {}
        for index, (name, value) in enumerate(known.items()):
            self.register_buffer(f"weight{index}", torch.from_numpy(np.array(value)))
            self._weights[name] = f"weight{index}"
        self._nodes = [Node(n, known, opset) for n in graph.node if n.op_type != "Constant"]
        self._given = [each.name for each in graph.input if each.name not in known]
        self._answered = [each.name for each in graph.output]

    def forward(self, *given: Any) -> Any:
        values = {name: getattr(self, place) for name, place in self._weights.items()}
        values |= dict(zip(self._given, given, strict=True))
        for node in self._nodes:
            answer = OPERATORS[node.operator](node, *[values.get(name) for name in node.inputs])
            found = answer if isinstance(answer, tuple) else (answer,)
            values |= dict(zip(node.outputs, found, strict=False))  # what is not asked for is gone
        found = tuple(values[name] for name in self._answered)
        return found[0] if len(found) == 1 else found


def run(job: Job) -> Result:
    """Write the model into the job's folder, held to the cases of `details["cases"]`."""
    network = Network(onnx.load(job.source)).eval()
    cases = list(recorded(Path(job.details["cases"])))
    given = tuple(torch.from_numpy(value) for value in cases[0][0])
    try:
        with torch.no_grad():
            traced = torch.jit.trace(network, given, check_trace=False)
            largest = max(held(wanted, _answers(traced, values)) for values, wanted in cases)
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        raise InvalidModel(
            "The model does not run on PyTorch.",
            why=last_line(error),
            hint="Import it as TorchScript from where it was trained, and compile that.",
        ) from error
    torch.jit.save(traced, str(Path(job.folder) / FILE))
    tool = f"torch {torch.__version__}"
    return Result(file=FILE, tool=tool, max_difference=largest, cases=len(cases))


def _answers(traced: Any, values: Sequence[Any]) -> list[Any]:
    answer = traced(*(torch.from_numpy(value) for value in values))
    return [each.numpy() for each in (answer if isinstance(answer, tuple) else (answer,))]


def _constant(node: Any) -> Any:
    (attribute,) = node.attribute
    value = helper.get_attribute_value(attribute)
    if attribute.name == "value":
        return numpy_helper.to_array(value)
    kinds = {"value_float": np.float32, "value_floats": np.float32}
    if attribute.name not in (*kinds, "value_int", "value_ints"):
        raise Unsupported(
            "The operator Constant of the model is not made PyTorch here.",
            why=f"It has the {attribute.name} of texts or of a sparse tensor.",
            hint="Import the model as TorchScript from where it was trained, and compile that.",
        )
    return np.array(value, kinds.get(attribute.name, np.int64))
