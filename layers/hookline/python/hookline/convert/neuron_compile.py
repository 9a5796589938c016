"""Compiles models for NeuronCores, once for each model, shapes, flags and compiler."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from hookline.adapters.machine.environments import find_python, install
from hookline.adapters.machine.fetched import built_once
from hookline.convert.isolation import Bench
from hookline.convert.job import Job, Result, Tensor
from hookline.convert.routes import ONNX_TO_TORCH
from hookline.convert.torchscript import as_torchscript, check_operators
from hookline.core.errors import (
    DeadlineExceeded,
    HooklineError,
    InvalidInput,
    Unavailable,
)
from hookline.core.neuroncores import CORES_PER_CHIP, MAX_CORES
from hookline.runtime.neuron import artifact, environment
from hookline.runtime.neuron.artifact import Manifest

TIMEOUT_S = 3600.0
PRECISIONS = ("fp32", "mixed", "bf16", "fp16")
FILE = "model.neuron"
_STEP = "hookline.convert.steps.compile_neuron"
_VERSION = 1  # raised when the step makes something else of the same
# As containers/runtime/inf1.in and inf2.in, and the Python that they are for.
_PACKAGES = {
    "inf1": (("torch-neuron==1.13.1.2.11.13.0", "neuron-cc[tensorflow]", "numpy<2"), "3.10"),
    "inf2": (("torch-neuronx==2.9.0.2.15.32035", "neuronx-cc==2.26.6360.0"), "3.11"),
}
# neuron-cc's and neuronx-cc's own words; without --fast-math none the first casts to bf16.
_CASTS: dict[str, dict[str, tuple[str, ...]]] = {
    "inf1": {
        "fp32": ("--fast-math", "none"),
        "mixed": (),
        "bf16": ("--fast-math", "fp32-cast-all"),
        "fp16": ("--fast-math", "fp32-cast-all-fp16"),
    },
    "inf2": {
        "fp32": ("--auto-cast", "none"),
        "mixed": ("--auto-cast", "matmult", "--auto-cast-type", "bf16"),
        "bf16": ("--auto-cast", "all", "--auto-cast-type", "bf16"),
        "fp16": ("--auto-cast", "all", "--auto-cast-type", "fp16"),
    },
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to compile for. `shapes` fix the dimensions that a model leaves open, one bucket each.

    A shape is that of one example of the first input; other inputs take what they leave open from
    the same axis.
    """

    target: str
    cores: int = 1
    is_pipeline: bool = False
    batches: tuple[int, ...] = (1,)
    is_dynamic: bool = False
    precision: str = "mixed"
    shapes: tuple[tuple[int, ...], ...] = ()

    @property
    def arguments(self) -> tuple[str, ...]:
        """What the compiler is told."""
        pipeline = ("--neuroncore-pipeline-cores", str(self.cores)) if self.is_pipeline else ()
        return (*pipeline, *_CASTS[self.target][self.precision])


@dataclass(frozen=True, slots=True)
class Source:
    """A model file on this machine, and what its record says of it."""

    path: Path
    sha256: str
    format: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[str, ...] = ()  # where the file does not name them


@dataclass(frozen=True, slots=True)
class Compiled:
    """A file for replicas on `manifest.target`."""

    path: Path
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class _Place:
    """The environment that compiles; `python` "" is our own."""

    site: Path
    python: str
    programs: Path


def check(wanted: Wanted) -> None:
    """Raise InvalidInput for what the device cannot do, before anything is built."""
    if wanted.precision not in PRECISIONS:
        raise InvalidInput(
            f"{wanted.target} does not compute in {wanted.precision} here.",
            why="AWS's compiler for Inf1 has no integers; that for Inf2 takes floats from PyTorch.",
            hint=f"Use one of {', '.join(PRECISIONS)}, or serve {wanted.precision} on cpu.",
        )
    if wanted.is_pipeline and wanted.target != "inf1":
        raise InvalidInput(
            "Only Inf1 runs one model as a pipeline over several cores.",
            why="neuronx-cc has no such flag.",
            hint="Leave out --pipeline: each core gets the model, and they work side by side.",
        )
    if wanted.is_pipeline and wanted.cores == 1:
        raise InvalidInput("A pipeline of 1 core is none.", hint="Give --cores 2 or more.")
    if not 1 <= wanted.cores <= MAX_CORES or wanted.target not in CORES_PER_CHIP:
        raise InvalidInput(
            f"No {wanted.target} instance has {wanted.cores} cores for one process.",
            hint=f"Ask for 1 to {MAX_CORES}.",
        )
    if not wanted.batches or min(wanted.batches) < 1:
        raise InvalidInput("A batch holds at least 1 example.", hint="Give --batch 1,4 or so.")


def bucket_shapes(inputs: Sequence[Tensor], wanted: Wanted) -> list[list[tuple[int, ...]]]:
    """The shapes of every input for each bucket. Raise InvalidInput where one is left open."""
    for tensor in inputs:
        if not tensor.shape:
            raise InvalidInput(
                f"The input {tensor.name} has no batch axis.",
                hint="Export the model with the batch as the first axis of every input.",
            )
    fixed = [t.shape[0] for t in inputs if t.shape[0] > 1]
    if fixed and {*wanted.batches} != {*fixed}:
        raise InvalidInput(
            f"The model takes {fixed[0]} examples at a time and no other number.",
            hint=f"Give --batch {fixed[0]}.",
        )
    examples = wanted.shapes or ((),)
    return [
        [(batch, *_closed(tensor, shape)) for tensor in inputs]
        for shape in examples
        for batch in sorted(wanted.batches)
    ]


def _closed(tensor: Tensor, shape: tuple[int, ...]) -> tuple[int, ...]:
    found = []
    for axis, size in enumerate(tensor.shape[1:]):
        if size < 0 and axis >= len(shape):
            raise InvalidInput(
                f"The input {tensor.name} leaves open how long its axis {axis + 1} is.",
                why="The compiler fixes every shape.",
                hint="Give --shape, that of one example, once for each size that you send.",
            )
        found.append(shape[axis] if size < 0 else size)
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Compiler:
    """Compiles with the SDK at `home`, or with one that is built in `cache_dir`."""

    bench: Bench
    cache_dir: Path
    tell: Callable[[str], None]
    home: Path = environment.HOME

    def compile(self, source: Source, wanted: Wanted) -> Compiled:
        """The compiled file, made unless it was before. Raise what stops it."""
        check(wanted)
        if source.format == "onnx":
            check_operators(source.path)
        shapes = bucket_shapes(source.inputs, wanted)
        cache = self.cache_dir.resolve()
        cache.mkdir(parents=True, exist_ok=True)
        place = self._place(wanted.target, cache)
        versions = self._told(place, wanted, cache)
        key = [source.sha256, shapes, wanted.arguments, asdict(wanted), versions, _VERSION]
        key += [ONNX_TO_TORCH.packages, ONNX_TO_TORCH.version] if source.format == "onnx" else []
        digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()
        build = partial(self._build, source, wanted, shapes, place)
        late = DeadlineExceeded("Another process has been compiling this model for an hour.")
        deadline = time.monotonic() + TIMEOUT_S
        folder = built_once(cache / "compiled" / digest, build, deadline=deadline, late=late)
        return Compiled(folder / FILE, artifact.read(folder / FILE))

    def _place(self, target: str, cache: Path) -> _Place:
        try:
            found = environment.find(self.home)
        except Unavailable:
            return self._installed(target, cache)
        return _Place(found.site, str(found.python), found.programs)

    def _installed(self, target: str, cache: Path) -> _Place:
        packages, version = _PACKAGES[target]
        self.tell(f"There is no Neuron SDK at {self.home}; building one: {', '.join(packages)}.")
        try:
            python = find_python(version, cache)
            site = install(list(packages), cache, python=python)
        except HooklineError as error:
            raise Unavailable(
                f"This machine has no compiler for {target}.",
                why="AWS's packages are in an index of AWS's own, which uv was not told of.",
                hint=f"Set UV_INDEX to the URL of that index (docs/devices.md), or run this on a "
                f"machine with the SDK at {self.home}, as the image for {target} has it.",
            ) from error
        return _Place(site, python, site / "bin")

    def _told(self, place: _Place, wanted: Wanted, cache: Path) -> str:
        """The versions of what compiles."""
        details = {"does": "tell", "target": wanted.target}
        with tempfile.TemporaryDirectory(prefix="ask-", dir=cache) as folder:
            job = Job(module=_STEP, source="", folder=folder, details=details)
            return self._bench_run(job, place).tool

    def _bench_run(self, job: Job, place: _Place, *shown: Path) -> Result:
        seen = [*shown, place.programs.parent]
        return self.bench.run(job, *seen, site=place.site, python=place.python)

    def _build(
        self,
        source: Source,
        wanted: Wanted,
        shapes: list[list[tuple[int, ...]]],
        place: _Place,
        work: Path,
    ) -> Path:
        folder, kept = work / "step", work / "kept"
        folder.mkdir()
        kept.mkdir()
        if source.format == "onnx":
            source = self._scripted(source, shapes, work)
        details = asdict(wanted) | {
            "does": "compile",
            "kind": source.format,
            "arguments": list(wanted.arguments),
            "inputs": [asdict(tensor) for tensor in source.inputs],
            "outputs": list(source.outputs),
            "shapes": shapes,
            "programs": str(place.programs),
        }
        path = source.path.resolve()
        job = Job(module=_STEP, source=str(path), folder=str(folder), details=details)
        self.tell(f"Compiling for {wanted.target}: {len(shapes)} buckets of shapes.")
        made = self._run(job, path, place)
        shutil.move(folder / made.file, kept / FILE)
        return kept

    def _run(self, job: Job, path: Path, place: _Place) -> Result:
        try:
            return self._bench_run(job, place, path)
        except DeadlineExceeded as error:
            raise DeadlineExceeded(
                f"Compiling the model took longer than {self.bench.timeout_s:,.0f} s.",
                hint="Compile fewer buckets, or on a faster machine.",
            ) from error

    def _scripted(self, source: Source, shapes: list[list[tuple[int, ...]]], work: Path) -> Source:
        """An ONNX model as PyTorch, which is what AWS's compilers take."""
        cache = self.cache_dir.resolve()
        made = as_torchscript(self.bench, cache, self.tell, source.path, shapes, work)
        return replace(source, path=made.path, format="torchscript", outputs=made.output_names)
