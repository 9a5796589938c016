"""Makes a PyTorch model compute in bfloat16 or float16; what goes in and comes out keeps its type.

It runs in an environment that holds torch and numpy.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hookline.convert.examples import stored_examples
from hookline.convert.job import Job, Result
from hookline.core.errors import InvalidModel
from hookline.runtime.backends.pytorch import last_line, load_module

FILE = "model"
_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
_ROWS = 2  # torch.export takes one row for a fixed size


class _Half(torch.nn.Module):  # type: ignore[misc]  # torch is in its own environment
    """A model between casts: floats become `dtype` before it, and those of `outputs` after it."""

    def __init__(self, model: Any, dtype: Any, outputs: Sequence[str]) -> None:
        super().__init__()
        self.model, self._dtype = model, dtype
        self._outputs = [getattr(torch, name) for name in outputs]

    def forward(self, *given: Any) -> Any:
        answer = self.model(*(self._narrow(value) for value in given))
        if isinstance(answer, dict):
            pairs = zip(answer.items(), self._outputs, strict=True)
            return {name: _as(value, dtype) for (name, value), dtype in pairs}
        if isinstance(answer, (tuple, list)):
            return tuple(_as(v, dtype) for v, dtype in zip(answer, self._outputs, strict=True))
        return _as(answer, self._outputs[0])

    def _narrow(self, value: Any) -> Any:
        return value.to(self._dtype) if value.is_floating_point() else value


def run(job: Job) -> Result:
    """Write the model into the job's folder; shapes are those of the first of the examples."""
    kind, precision = job.details["kind"], job.details["precision"]
    inputs, path = job.details["inputs"], Path(job.folder) / FILE
    example = next(iter(stored_examples(Path(job.details["like"]))))
    given = tuple(_rows(example[tensor["name"]], tensor["shape"]) for tensor in inputs)
    model = load_module(job.source, kind, "cpu").to(_TYPES[precision])
    half = _Half(model, _TYPES[precision], [each["dtype"] for each in job.details["outputs"]])
    save = _save_script if kind == "torchscript" else _save_program
    try:
        with torch.no_grad():
            half(*given)
            save(half, given, [tensor["shape"] for tensor in inputs], path)
    except Exception as error:  # torch raises whatever its parts meet
        raise InvalidModel(
            f"The model does not run in {precision}.",
            why=last_line(error),
            hint="Its code may fix a type of its own. Save it in that precision where it is "
            "defined, or export it to ONNX.",
        ) from error
    return Result(file=FILE, tool=f"torch {torch.__version__}")


def _save_script(half: _Half, given: tuple[Any, ...], _: list[list[int]], path: Path) -> None:
    """The model stays the script it is; only the casts around it are traced."""
    traced = torch.jit.trace(half.eval(), given, strict=False, check_trace=False)
    torch.jit.save(traced, str(path))


def _save_program(half: _Half, given: tuple[Any, ...], shapes: list[list[int]], path: Path) -> None:
    varying = tuple(
        {axis: torch.export.Dim.DYNAMIC for axis, size in enumerate(shape) if size < 0}
        for shape in shapes
    )
    program = torch.export.export(half, given, dynamic_shapes=(varying,))
    torch.export.save(program, str(path))


def _rows(value: np.ndarray[Any, Any], shape: list[int]) -> Any:
    if shape and shape[0] < 0:
        value = np.repeat(value, _ROWS, axis=0)
    return torch.from_numpy(np.require(value, requirements=["C", "W"]))


def _as(value: Any, dtype: Any) -> Any:
    return value.to(dtype) if value.is_floating_point() else value
