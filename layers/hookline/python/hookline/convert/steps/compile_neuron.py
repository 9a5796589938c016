"""Compiles a PyTorch model for NeuronCores, in the environment of AWS's SDK.

It runs on Python 3.10 for Inf1. There need be no device: the compiler knows the hardware, and the
shapes of the answers are found by running the model itself on the CPU.
"""

from __future__ import annotations

import importlib
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from hookline.convert.job import Job, Result, Tensor
from hookline.core.errors import InvalidInput, InvalidModel, ModelLoadFailed
from hookline.runtime.neuron import artifact
from hookline.runtime.neuron.artifact import Bucket, Manifest, Port
from hookline.runtime.neuron.engine import FRAMEWORKS

Array = np.ndarray[Any, Any]
FILE = "model.neuron"
_COMPILERS = {"inf1": "neuron-cc", "inf2": "neuronx-cc"}
_ON_CPU = "aten::"  # what the compiler took is one operator of its own in the traced graph


@dataclass(frozen=True, slots=True)
class _Trace:
    """A traced bucket; `answers` are the original's on the same inputs."""

    bucket: Bucket
    answers: list[tuple[str, Array]]
    on_cpu: Counter[str]


def run(job: Job) -> Result:
    """Compile the model for every bucket of `details`, or only tell what would do it."""
    target = str(job.details["target"])
    if job.details["does"] == "tell":
        return Result(tool=_versions(target))
    os.environ["PATH"] = f"{job.details['programs']}{os.pathsep}{os.environ.get('PATH', '')}"
    ports = [Port(str(each["name"]), str(each["dtype"])) for each in job.details["inputs"]]
    traces = _traced(job, ports)
    answers = traces[0].answers
    names = job.details["outputs"] or [name for name, _ in answers]
    outputs = tuple(
        Port(name, str(value.dtype)) for name, (_, value) in zip(names, answers, strict=True)
    )
    manifest = Manifest(
        target=target,
        cores=int(job.details["cores"]),
        inputs=tuple(ports),
        outputs=outputs,
        buckets=tuple(trace.bucket for trace in traces),
        is_pipeline=bool(job.details["is_pipeline"]),
        is_dynamic=bool(job.details["is_dynamic"]),
        precision=str(job.details["precision"]),
        compiler=_versions(target),
        on_cpu=dict(traces[0].on_cpu),
    )
    folder = Path(job.folder)
    artifact.write(manifest, folder, folder / FILE)
    return Result(file=FILE, tool=manifest.compiler, inputs=_described(manifest))


def _described(manifest: Manifest) -> tuple[Tensor, ...]:
    shapes = manifest.buckets[0].inputs
    return tuple(
        Tensor(port.name, port.dtype, shape)
        for port, shape in zip(manifest.inputs, shapes, strict=True)
    )


def _traced(job: Job, ports: Sequence[Port]) -> list[_Trace]:
    from hookline.runtime.backends.pytorch import load_module  # noqa: PLC0415 - it imports torch

    try:
        module = load_module(job.source, str(job.details["kind"]), "cpu")
    except ModelLoadFailed as error:
        raise InvalidModel(
            "The PyTorch of AWS's SDK cannot load the model.",
            why=error.why,
            hint="Save it as TorchScript with that release of PyTorch, and import that.",
        ) from error
    shapes = [tuple(map(tuple, each)) for each in job.details["shapes"]]
    return [_one(job, module, ports, number, each) for number, each in enumerate(shapes)]


def _one(
    job: Job, module: Any, ports: Sequence[Port], number: int, shapes: tuple[tuple[int, ...], ...]
) -> _Trace:
    """Compile one bucket into a file of its own."""
    import torch  # noqa: PLC0415 - as above

    from hookline.runtime.backends.pytorch import TorchBackend  # noqa: PLC0415 - as above

    given = [np.zeros(shape, port.dtype) for port, shape in zip(ports, shapes, strict=True)]
    try:
        answers = TorchBackend(module, "cpu", [], []).answer(given)
    except InvalidInput as error:
        raise InvalidInput(
            f"The model does not run on inputs of the shapes {[list(each) for each in shapes]}.",
            why=error.why,
            hint="Give --batch and --shape as the model takes them.",
        ) from error
    for name, value in answers:
        if value.shape[:1] != shapes[0][:1]:
            raise InvalidModel(
                f"The output {name} of {shapes[0][0]} examples has the shape {list(value.shape)}.",
                why="On Neuron the batch is filled up and cut back along the first axis.",
                hint="Export the model with the batch as the first axis of every output.",
            )
    traced, on_cpu = _compiled(job, module, tuple(map(torch.from_numpy, given)), number)
    file = f"{number}.pt"
    torch.jit.save(traced, str(Path(job.folder) / file))
    bucket = Bucket(file, shapes, tuple(value.shape for _, value in answers))
    return _Trace(bucket, answers, on_cpu)


def _compiled(
    job: Job, module: Any, example: tuple[Any, ...], number: int
) -> tuple[Any, Counter[str]]:
    """What torch.jit.save is to write, and the operators that stay on the CPU."""
    target, is_dynamic = job.details["target"], bool(job.details["is_dynamic"])
    framework = importlib.import_module(FRAMEWORKS[target])
    told: dict[str, Any] = {
        "compiler_args": list(job.details["arguments"]),
        "compiler_workdir": str(Path(job.folder) / f"compiler-{number}"),
    }
    try:
        if target == "inf1":
            traced = framework.trace(module, example, dynamic_batch_size=is_dynamic, **told)
            return traced, _left(traced)
        if framework.analyze(module, example)["unsupported_operators"]:
            told["partitioner_config"] = framework.PartitionerConfig()
        traced = framework.trace(module, example, **told)
    except RuntimeError as error:
        raise InvalidModel(
            f"The compiler for {target} refuses the model.",
            why=f"{str(error).strip().splitlines()[-1][:500]}",
            hint="Change the operators it names, or serve the model on cpu or gpu.",
        ) from error
    on_cpu = _left(traced)
    return (framework.dynamic_batch(traced) if is_dynamic else traced), on_cpu


def _left(traced: Any) -> Counter[str]:
    kinds = (str(node.kind()) for node in traced.inlined_graph.nodes())
    return Counter(kind for kind in kinds if kind.startswith(_ON_CPU))


def _versions(target: str) -> str:
    """What a compilation depends on beside the model: `torch-neuronx 2.9, neuronx-cc 2.26`."""
    names = (FRAMEWORKS[target].replace("_", "-"), _COMPILERS[target])
    try:
        return ", ".join(f"{name} {version(name)}" for name in names)
    except PackageNotFoundError as error:
        raise InvalidModel(
            f"The environment has no {error.name}, which compiles for {target}.",
            hint="Install it there from AWS's own index, as docs/devices.md shows.",
        ) from error
