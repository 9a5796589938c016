"""Finds out what a TorchScript or torch.export model takes and gives, by running it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hookline.convert.cases import Array, random_inputs, record
from hookline.convert.job import Job, Result, Tensor
from hookline.core.errors import InvalidInput, InvalidModel, ModelLoadFailed
from hookline.runtime.backends.pytorch import TorchBackend, load_module
from hookline.runtime.backends.tensors import TensorSpec

_ROWS = (2, 3)
_SIZE = 8
_HINT = "Give --input-shape, as 1,3,224,224; several inputs need --sample with an .npz of arrays."


def run(job: Job) -> Result:
    """Describe the model; the file itself is what replicas run."""
    kind = job.details["kind"]
    try:
        module = load_module(job.source, kind, "cpu")
    except ModelLoadFailed as error:
        raise InvalidModel(error.what, why=error.why, hint=error.hint) from error
    inputs = _exported_inputs(job.source) if kind == "pt2" else _script_inputs(module, job)
    backend = TorchBackend(
        module, "cpu", [TensorSpec(each.name, each.dtype, each.shape) for each in inputs], []
    )
    inputs, outputs = _described(backend, inputs)
    count = record(job, inputs, lambda given: [value for _, value in backend.answer(given)])
    return Result(
        inputs=tuple(inputs), outputs=tuple(outputs), tool=f"torch {torch.__version__}", cases=count
    )


def _exported_inputs(path: str) -> list[Tensor]:
    """As the program's own graph declares them; a symbol is a dimension that may vary."""
    program = torch.export.load(path)
    names = set(program.graph_signature.user_inputs)
    found = [node for node in program.graph.nodes if node.op == "placeholder"]
    return [_declared(node) for node in found if node.name in names]


def _declared(node: Any) -> Tensor:
    value = node.meta.get("val")
    if not isinstance(value, torch.Tensor):
        raise InvalidModel(
            f"The input {node.name} is not a tensor.",
            hint="Export the model with tensors as its only arguments.",
        )
    shape = tuple(size if isinstance(size, int) else -1 for size in value.shape)
    return Tensor(node.name, _dtype(value), shape)


def _script_inputs(module: Any, job: Job) -> list[Tensor]:
    """By name from the code; TorchScript keeps no shapes, so the importer says them."""
    wanted = [arg for arg in module.forward.schema.arguments[1:] if not arg.has_default_value()]
    others = [arg.name for arg in wanted if str(arg.type) != "Tensor"]
    if others:
        raise InvalidModel(
            f"The model's argument {others[0]} is not a tensor.",
            hint="Trace the model with tensors as its only arguments.",
        )
    names = [arg.name for arg in wanted]
    if job.samples:
        return _sampled(job.samples[0], names)
    if not job.input_shape or len(names) != 1:
        raise InvalidInput(
            f"TorchScript does not say what shape {' and '.join(names)} should have.", hint=_HINT
        )
    return [Tensor(names[0], "float32", job.input_shape)]


def _sampled(path: str, names: Sequence[str]) -> list[Tensor]:
    stored = np.load(path, allow_pickle=False)
    if isinstance(stored, np.ndarray) and len(names) == 1:
        return [Tensor(names[0], str(stored.dtype), stored.shape)]
    missing = [name for name in names if name not in getattr(stored, "files", ())]
    if missing:
        raise InvalidInput(
            f"The sample {Path(path).name} has no array {missing[0]!r}.",
            hint=f"The model takes {', '.join(names)}.",
        )
    return [Tensor(name, str(stored[name].dtype), stored[name].shape) for name in names]


def _described(backend: TorchBackend, inputs: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """The inputs and outputs, with a variable first axis where any number of rows goes through."""
    rows = [_opened(tensor) for tensor in inputs]
    may_vary = all(tensor.shape[:1] == (-1,) for tensor in rows)
    answers = [_tried(backend, rows, count) for count in _ROWS] if may_vary else []
    if answers and all(_follows(a, n) for a, n in zip(answers, _ROWS, strict=True)):
        outputs = [
            Tensor(name, str(value.dtype), (-1, *_shape(value, other)[1:]))
            for (name, value), (_, other) in zip(*answers, strict=True)
        ]
        return rows, outputs
    answered = backend.answer(random_inputs(inputs, 1, _SIZE))
    return inputs, [Tensor(name, str(value.dtype), value.shape) for name, value in answered]


def _opened(tensor: Tensor) -> Tensor:
    return Tensor(tensor.name, tensor.dtype, (-1, *tensor.shape[1:])) if tensor.shape else tensor


def _tried(
    backend: TorchBackend, inputs: Sequence[Tensor], rows: int
) -> list[tuple[str, Array]] | None:
    try:
        return backend.answer(random_inputs(inputs, rows, _SIZE))
    except InvalidInput:
        return None


def _follows(answer: list[tuple[str, Array]] | None, rows: int) -> bool:
    return answer is not None and all(value.shape[:1] == (rows,) for _, value in answer)


def _shape(one: Array, other: Array) -> tuple[int, ...]:
    return tuple(a if a == b else -1 for a, b in zip(one.shape, other.shape, strict=True))


def _dtype(value: Any) -> str:
    return str(value.dtype).removeprefix("torch.")
