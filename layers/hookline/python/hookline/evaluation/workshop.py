"""Makes variants of models in other precisions, and measures models against files."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from hookline.adapters.machine.environments import install
from hookline.convert.isolation import Bench
from hookline.convert.job import Job, Result
from hookline.convert.pipeline import READ_EXAMPLES
from hookline.convert.precisions import MODULES, PACKAGES, Recipe, recipe
from hookline.core.errors import InvalidBundle, InvalidInput, Unavailable
from hookline.core.models import Precision
from hookline.evaluation.truth import class_index
from hookline.runtime.spec import PipelineSpec

MIN_AGREEMENT = 0.99
MAX_FILES = 512  # to calibrate and compare on; more change little and take long
PICTURE = "confusion.png"
_STEPS = "hookline.evaluation.steps"


@dataclass(frozen=True, slots=True)
class Material:
    """Files to ask a model, by name, and what is right for those of them where that is known."""

    files: Mapping[str, Path] = field(default_factory=dict)
    truth: Mapping[str, tuple[str, ...]] | None = None

    def chosen(self, most: int = MAX_FILES) -> Material:
        """At most so many of the files, evenly taken; only those whose truth is known."""
        names = [name for name in self.files if self.truth is None or name in self.truth]
        if self.files and not names:
            raise InvalidInput(
                f"The file of --labels names none of the {len(self.files)} files.",
                hint="Names in it are those of the files, folders included: cats/1.png.",
            )
        step = max(1, len(names) / most)
        kept = [names[int(at * step)] for at in range(min(len(names), most))]
        return Material({name: self.files[name] for name in kept}, self.truth)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How good a model is, as JSON; `picture` is the PNG of its confusion matrix, if it has one."""

    report: dict[str, Any]
    picture: bytes = b""


@dataclass(frozen=True, slots=True)
class Workshop:
    """`bench` runs the steps, `cache_dir` keeps environments, `tell` hears how it goes.

    Without one of `modules` in this Python, variants are made in an environment of their own.
    """

    bench: Bench
    cache_dir: Path
    tell: Callable[[str], None]
    modules: tuple[str, ...] = MODULES

    def optimize(
        self,
        spec: PipelineSpec,
        precision: Precision,
        material: Material,
        target: Path,
        *,
        min_agreement: float = MIN_AGREEMENT,
    ) -> dict[str, Any]:
        """Write the variant to `target`; return what is to be stored of it. Raise what stops it."""
        how = recipe(precision, spec.format)
        material = material.chosen()
        with _scratch() as work:
            read = self._read(spec, material, work)
            examples = work / "read" / read.file
            made = self._make(how, precision, spec, examples, work, bool(material.files))
            details = {
                "pipeline": msgspec.to_builtins(spec),
                "variant": str(made),
                "precision": precision,
                "examples": str(examples),
                "truth": _classes(read.report["names"], material.truth, spec.labels),
            }
            self.tell("Comparing it with the original.")
            job = _job(f"{_STEPS}.compare", spec.model_path, work / "compare", details)
            report = self.bench.run(job, *_seen(spec), made, examples).report
            target.write_bytes(made.read_bytes())
        report |= {
            "data": "files" if material.files else "random",
            "skipped": read.report["skipped"],
            "min_agreement": min_agreement,
        }
        method = how.method(has_files=bool(material.files))
        return {"precision": precision, "method": method, "accuracy": report}

    def evaluate(
        self,
        spec: PipelineSpec,
        material: Material,
        *,
        task: str = "auto",
        top_k: int = 5,
    ) -> Evaluation:
        """Ask `spec` all files whose truth is known. Raise what stops it."""
        truth = material.truth or {}
        material = material.chosen(len(material.files))
        with _scratch() as work:
            details = {
                "pipeline": msgspec.to_builtins(spec),
                "files": {name: str(path.resolve()) for name, path in material.files.items()},
                "truth": {name: list(truth[name]) for name in material.files},
                "task": task,
                "top_k": top_k,
            }
            job = _job(f"{_STEPS}.measure", spec.model_path, work / "measure", details)
            report = self.bench.run(job, *_seen(spec), *_folders(material)).report
            picture = work / "measure" / PICTURE
            return Evaluation(report, picture.read_bytes() if picture.is_file() else b"")

    def _read(self, spec: PipelineSpec, material: Material, work: Path) -> Result:
        """Examples of the files, in the folder `read` of `work`."""
        details = {
            "pipeline": msgspec.to_builtins(spec),
            "files": {name: str(path.resolve()) for name, path in material.files.items()},
        }
        job = _job(READ_EXAMPLES, spec.model_path, work / "read", details)
        read = self.bench.run(job, *_seen(spec), *_folders(material))
        if read.report["skipped"]:
            self.tell(
                f"Left out {read.report['skipped']} files that cannot be read, the first of them "
                f"{read.report['first_error']}"
            )
        return read

    def _make(
        self,
        how: Recipe,
        precision: Precision,
        spec: PipelineSpec,
        examples: Path,
        work: Path,
        has_files: bool,  # noqa: FBT001 - private
    ) -> Path:
        site = self._site() if spec.format == "onnx" else _framework(spec)
        self.tell(f"Making it {precision}: {how.method(has_files=has_files)}.")
        details = {
            "precision": precision,
            "examples": str(examples) if has_files else "",
            "like": str(examples),
            "kind": spec.format,
            "inputs": msgspec.to_builtins(spec.inputs),
            "outputs": msgspec.to_builtins(spec.outputs),
        }
        job = _job(how.module, spec.model_path, work / "make", details)
        return work / "make" / self.bench.run(job, Path(spec.model_path), examples, site=site).file

    def _site(self) -> Path | None:
        """The folder with the packages that make variants; None where this Python has them."""
        if all(find_spec(name) for name in self.modules):
            return None
        began_s = time.monotonic()
        self.tell(f"Preparing the environment for precisions: {', '.join(PACKAGES)}.")
        self.cache_dir.mkdir(parents=True, exist_ok=True)
        try:
            site = install(list(PACKAGES), self.cache_dir.resolve())
        except InvalidBundle as error:
            raise Unavailable(
                "The environment that makes other precisions could not be built.",
                why=error.why,
                hint="Look at the network and at the settings of uv, or install hookline[convert].",
            ) from error
        self.tell(f"The environment is ready, after {time.monotonic() - began_s:,.0f} s.")
        return site


@contextmanager
def _scratch() -> Any:
    """A folder without links on the way: the sandbox shows real paths alone."""
    with tempfile.TemporaryDirectory(prefix="hookline-variant-") as work:
        yield Path(work).resolve()


def _job(module: str, source: str, folder: Path, details: dict[str, Any]) -> Job:
    folder.mkdir()
    return Job(module=module, source=source, folder=str(folder), details=details)


def _framework(spec: PipelineSpec) -> Path | None:
    """Where the packages are that run it; None where this Python has them."""
    return Path(spec.site_dirs[0]) if spec.site_dirs else None


def _seen(spec: PipelineSpec) -> list[Path]:
    return [Path(spec.model_path), *(Path(folder) for folder in spec.site_dirs)]


def _folders(material: Material) -> list[Path]:
    return sorted({path.resolve().parent for path in material.files.values()})


def _classes(
    names: Sequence[str], truth: Mapping[str, tuple[str, ...]] | None, labels: Sequence[str]
) -> list[int] | None:
    if truth is None:
        return None
    return [class_index(truth[name][0], labels, name) for name in names]
