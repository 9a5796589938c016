"""Asks an ONNX model random inputs of given shapes, for what is made of it to be held to."""

from __future__ import annotations

from hookline.convert.cases import ask
from hookline.convert.job import Job, Result, Tensor
from hookline.runtime.backends.onnx import OnnxBackend


def run(job: Job) -> Result:
    """Store inputs of each of `details["shapes"]` (a shape for each input) and the answers."""
    backend = OnnxBackend.load(job.source, threads=0, gpus=0)
    names = [spec.name for spec in backend.inputs]
    count = ask(
        job,
        [Tensor(spec.name, spec.dtype, spec.shape) for spec in backend.inputs],
        job.details["shapes"],
        lambda given: backend.run(dict(zip(names, given, strict=True))),
    )
    outputs = tuple(Tensor(spec.name, spec.dtype, spec.shape) for spec in backend.outputs)
    return Result(cases=count, outputs=outputs)
