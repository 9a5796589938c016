"""From a model as its author left it to a file that replicas run, checked on the way."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

from hookline.adapters.machine.environments import find_python, install
from hookline.adapters.machine.fetched import built_once
from hookline.convert.isolation import Bench
from hookline.convert.job import RESULT, SAMPLES, Job, Result, read_result
from hookline.convert.routes import ROUTES, Route
from hookline.convert.sources import Source
from hookline.core.errors import (
    DeadlineExceeded,
    InvalidBundle,
    InvalidModel,
    NotFound,
    Unavailable,
)

WAIT_S = 3600.0  # for another process that converts the same model
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
        self, source: Source, input_shape: tuple[int, ...] = (), samples: tuple[Path, ...] = ()
    ) -> Prepared:
        """The file to serve, made of `source` unless that was done before. Raise what stops it."""
        if source.kind == "onnx" and not source.is_split:
            return Prepared(source.path, "onnx")
        for path in samples:
            if not path.is_file():
                raise NotFound(f"There is no file {path}.", hint="Check --sample.")
        route = ROUTES.get(source.kind)
        if route is None:
            raise InvalidModel(
                f"{source.path} is a {source.kind} model, which is not converted here yet.",
                hint="Convert it to ONNX with its framework's own tools, and import that.",
            )
        key = _key(source, route, input_shape, samples)
        late = DeadlineExceeded("Another process has been converting this model for an hour.")
        build = partial(self._build, source, route, input_shape, samples)
        deadline = time.monotonic() + WAIT_S
        folder = built_once(self._cache / "converted" / key, build, deadline=deadline, late=late)
        result = read_result(folder)
        path = folder / result.file if result.file else source.path.resolve()
        kept = source.kind if source.kind in _NATIVE else "onnx"
        return Prepared(path, kept, route.title, result)

    def check(self, prepared: Prepared) -> Result:
        """Load and run the ONNX file of a model that was not converted. Raise InvalidModel."""
        with tempfile.TemporaryDirectory(prefix="hookline-check-") as work:
            return self._check(prepared.path, Path(work).resolve())

    @property
    def _cache(self) -> Path:
        """Without links on the way: the sandbox shows real paths alone."""
        self.cache_dir.mkdir(parents=True, exist_ok=True)
        return self.cache_dir.resolve()

    def _build(
        self,
        source: Source,
        route: Route,
        input_shape: tuple[int, ...],
        samples: tuple[Path, ...],
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
            samples=tuple(str(path.resolve()) for path in samples),
            details={"kind": source.kind},
        )
        self.tell(f"Reading {source.path.name}: {route.title}.")
        made = self.bench.run(job, *source.shown, *samples, site=site, python=python)
        return self._kept(work, folder, made)

    def _kept(self, work: Path, folder: Path, made: Result) -> Path:
        """A folder with the model and what is known of it, and nothing else."""
        kept = work / "kept"
        kept.mkdir()
        if made.file:
            cases = folder / SAMPLES
            seen = self._check(folder / made.file, work, cases if cases.is_file() else None)
            made = replace(seen, file=made.file, tool=made.tool, labels=made.labels or seen.labels)
            shutil.move(folder / made.file, kept / made.file)
        (kept / RESULT).write_text(json.dumps(asdict(made)), encoding="utf-8")
        return kept

    def _check(self, path: Path, work: Path, cases: Path | None = None) -> Result:
        folder = work / "check"
        folder.mkdir()
        details = {"cases": str(cases)} if cases else {}
        job = Job(module=_CHECK, source=str(path.resolve()), folder=str(folder), details=details)
        return self.bench.run(job, path, *([cases] if cases else []))

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


def _key(
    source: Source, route: Route, input_shape: tuple[int, ...], samples: tuple[Path, ...]
) -> str:
    parts = [source.digest(), route.module, route.version, route.packages, input_shape]
    parts += [hashlib.sha256(path.read_bytes()).hexdigest() for path in samples]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
