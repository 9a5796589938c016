"""From a model as its author left it to a file that replicas run, checked on the way."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

import msgspec

from hookline.adapters.machine.environments import find_python, install
from hookline.adapters.machine.fetched import built_once
from hookline.convert.isolation import Bench
from hookline.convert.job import RESULT, SAMPLES, Job, Result, read_result
from hookline.convert.routes import ROUTES, Route
from hookline.convert.samples import NO_TRIALS, NONE, Samples, Trials
from hookline.convert.sources import Source
from hookline.core.errors import DeadlineExceeded, InvalidBundle, InvalidModel, Unavailable
from hookline.runtime.backends.packages import TORCH
from hookline.runtime.spec import PipelineSpec, Tensor

WAIT_S = 3600.0  # for another process that converts the same model
READ_EXAMPLES = "hookline.convert.steps.read_examples"
_CHECK = "hookline.convert.steps.check_onnx"
_NATIVE = ("torchscript", "pt2")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A file that replicas run. `result` is empty where the source itself is that file."""

    path: Path
    format: str
    title: str = ""
    result: Result = field(default_factory=Result)

    @property
    def is_converted(self) -> bool:
        return bool(self.title) and self.format not in _NATIVE


@dataclass(frozen=True, slots=True)
class Kitchen:
    """Prepares models: `bench` runs the steps, `cache_dir` keeps what they made."""

    bench: Bench
    cache_dir: Path
    tell: Callable[[str], None]

    def prepare(
        self, source: Source, input_shape: tuple[int, ...] = (), samples: Samples = NONE
    ) -> Prepared:
        """The file to serve, made of `source` unless that was done before. Raise what stops it.

        What was converted has been compared on the samples; `check` tries others on them.
        """
        samples.check()
        prepared = self._prepared(source, input_shape, Trials(samples.arrays))
        if not samples.files or not prepared.title:
            return prepared
        with self._tried(prepared, samples) as trials:  # only now it is known what it takes
            return self._prepared(source, input_shape, trials)

    def check(self, prepared: Prepared, samples: Samples = NONE) -> Result:
        """Load and run the ONNX file of a model that was not converted. Raise InvalidModel."""
        with self._tried(prepared, samples) as trials, _folder() as work:
            return self._check(prepared.path, work, trials=trials)

    def _prepared(self, source: Source, input_shape: tuple[int, ...], trials: Trials) -> Prepared:
        if source.kind == "onnx" and not source.is_split:
            return Prepared(source.path, "onnx")
        route = ROUTES.get(source.kind)
        if route is None:
            raise InvalidModel(
                f"{source.path} is a {source.kind} model, which is not converted here yet.",
                hint="Convert it to ONNX with its framework's own tools, and import that.",
            )
        key = _key(source, route, input_shape, trials)
        late = DeadlineExceeded("Another process has been converting this model for an hour.")
        build = partial(self._build, source, route, input_shape, trials)
        deadline = time.monotonic() + WAIT_S
        folder = built_once(self._cache / "converted" / key, build, deadline=deadline, late=late)
        result = read_result(folder)
        path = folder / result.file if result.file else source.path.resolve()
        kept = source.kind if source.kind in _NATIVE else "onnx"
        return Prepared(path, kept, route.title, result)

    @property
    def _cache(self) -> Path:
        """Without links on the way: the sandbox shows real paths alone."""
        self.cache_dir.mkdir(parents=True, exist_ok=True)
        return self.cache_dir.resolve()

    @contextmanager
    def _tried(self, prepared: Prepared, samples: Samples) -> Iterator[Trials]:
        """What to try, for the length of the block: other files are read as a stream reads them.

        Raise InvalidInput for a file that the model's preprocessor does not read.
        """
        if not samples.files:
            yield Trials(samples.arrays)
            return
        is_native = prepared.format in _NATIVE
        sites = [install(list(TORCH.requirements), self._cache)] if is_native else []
        tensors = {
            role: [Tensor(t.name, t.dtype, t.shape) for t in getattr(prepared.result, role)]
            for role in ("inputs", "outputs")
        }
        spec = PipelineSpec(
            model_path=str(prepared.path.resolve()),
            format=prepared.format,  # type: ignore[arg-type]  # the importer knows just these words
            inputs=tuple(tensors["inputs"]) if is_native else (),
            outputs=tuple(tensors["outputs"]) if is_native else (),
            preparation=samples.preparation,
            site_dirs=tuple(str(site) for site in sites),
        )
        with _folder() as work:
            details = {
                "pipeline": msgspec.to_builtins(spec),
                "files": {str(path): str(path.resolve()) for path in samples.files},
                "is_strict": True,
            }
            job = Job(READ_EXAMPLES, spec.model_path, str(work), details=details)
            read = self.bench.run(job, prepared.path, *sites, *samples.files)
            yield Trials(samples.arrays, work / read.file, tuple(read.report["names"]))

    def _build(
        self,
        source: Source,
        route: Route,
        input_shape: tuple[int, ...],
        trials: Trials,
        work: Path,
    ) -> Path:
        python = find_python(route.python, self._cache) if route.python else ""
        site = self._site(route, python) if route.packages else None
        folder = work / "step"
        folder.mkdir()
        job = Job(
            module=route.module,
            source=str(source.path.resolve()),
            folder=str(folder),
            input_shape=input_shape,
            samples=trials.samples,
            details={"kind": source.kind, **trials.details},
        )
        self.tell(f"Reading {source.path.name}: {route.title}.")
        made = self.bench.run(job, *source.shown, *trials.shown, site=site, python=python)
        return self._kept(work, folder, made, trials)

    def _kept(self, work: Path, folder: Path, made: Result, trials: Trials) -> Path:
        """A folder with the model and what is known of it, and nothing else."""
        kept = work / "kept"
        kept.mkdir()
        if made.file:
            cases = folder / SAMPLES
            path, there = folder / made.file, cases.is_file()
            seen = self._check(path, work, cases if there else None, NO_TRIALS if there else trials)
            made = replace(seen, file=made.file, tool=made.tool, labels=made.labels or seen.labels)
            shutil.move(folder / made.file, kept / made.file)
        (kept / RESULT).write_text(json.dumps(asdict(made)), encoding="utf-8")
        return kept

    def _check(
        self, path: Path, work: Path, cases: Path | None = None, trials: Trials = NO_TRIALS
    ) -> Result:
        folder = work / "check"
        folder.mkdir()
        job = Job(
            module=_CHECK,
            source=str(path.resolve()),
            folder=str(folder),
            samples=trials.samples,
            details=trials.details | ({"cases": str(cases)} if cases else {}),
        )
        return self.bench.run(job, path, *trials.shown, *([cases] if cases else []))

    def _site(self, route: Route, python: str) -> Path:
        began_s = time.monotonic()
        self.tell(f"Preparing the environment for {route.title}: {', '.join(route.packages)}.")
        try:
            site = install(list(route.packages), self._cache, python=python)
        except InvalidBundle as error:
            raise Unavailable(
                f"The environment for {route.title} could not be built.",
                why=error.why,
                hint="Look at the network and at the settings of uv, or convert the model to ONNX "
                "yourself and import that.",
            ) from error
        self.tell(f"The environment is ready, after {time.monotonic() - began_s:,.0f} s.")
        return site


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder without links on the way: the sandbox shows real paths alone."""
    with tempfile.TemporaryDirectory(prefix="hookline-check-") as work:
        yield Path(work).resolve()


def _key(source: Source, route: Route, input_shape: tuple[int, ...], trials: Trials) -> str:
    parts = [source.digest(), route.module, route.version, route.packages, input_shape]
    parts += [hashlib.sha256(path.read_bytes()).hexdigest() for path in trials.shown]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
