"""Loads an ONNX model as a replica would, runs it, and compares it with what it was made from."""

from __future__ import annotations

from pathlib import Path

from hookline.convert.cases import Array, held, random_inputs, recorded, tried
from hookline.convert.job import Job, Result, Tensor
from hookline.core import onnxfile
from hookline.core.errors import HooklineError, InvalidModel
from hookline.runtime.backends.onnx import OnnxBackend

_THREADS = 0


def run(job: Job) -> Result:
    """Compare on the cases of the file `details["cases"]`; else run it on the samples, or anything.

    Raise InvalidInput for a sample that it does not take.
    """
    backend = _loaded(job.source)
    inputs = tuple(Tensor(spec.name, spec.dtype, spec.shape) for spec in backend.inputs)
    outputs = tuple(Tensor(spec.name, spec.dtype, spec.shape) for spec in backend.outputs)
    if job.details.get("cases"):
        difference, count = _compared(backend, Path(job.details["cases"]))
        return Result(inputs=inputs, outputs=outputs, max_difference=difference, cases=count)
    for _ in tried(job, inputs, lambda given: backend.run(_fed(backend, given))):
        pass
    noted = backend.metadata
    if "hookline_source" in noted:  # written by `hookline model export`, which compared as well
        return Result(
            inputs=inputs,
            outputs=outputs,
            tool=noted["hookline_source"],
            max_difference=float(noted["hookline_max_difference"]),
            cases=int(noted["hookline_cases"]),
        )
    return Result(inputs=inputs, outputs=outputs, cases=_tried(backend, inputs))


def _loaded(path: str) -> OnnxBackend:
    with Path(path).open("rb") as file:
        onnxfile.inspect(file)  # says better than onnxruntime what is wrong with a damaged file
    try:
        return OnnxBackend.load(path, threads=_THREADS, gpus=0)
    except HooklineError as error:
        raise InvalidModel(
            "The model cannot be loaded.",
            why=error.why or error.what,
            hint="Export it again, for an opset and with operators that onnxruntime knows.",
        ) from error


def _tried(backend: OnnxBackend, inputs: tuple[Tensor, ...]) -> int:
    """1 where the model answers zeros and ones; 0 where its open dimensions do not take them."""
    try:
        backend.run(_fed(backend, random_inputs(inputs, 1, 1)))
    except HooklineError:
        return 0
    return 1


def _compared(backend: OnnxBackend, path: Path) -> tuple[float, int]:
    gaps = [held(wanted, backend.run(_fed(backend, given))) for given, wanted in recorded(path)]
    return max(gaps), len(gaps)


def _fed(backend: OnnxBackend, given: list[Array]) -> dict[str, Array]:
    specs = zip(backend.inputs, given, strict=True)
    return {spec.name: value.astype(spec.numpy_dtype, copy=False) for spec, value in specs}
