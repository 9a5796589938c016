"""A model compiled for NeuronCores: a zip with a file for each bucket of shapes, and a manifest.

This also runs in the environment of AWS's SDK, on Python 3.10: the standard library alone.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hookline.core.errors import ModelLoadFailed

MANIFEST = "neuron.json"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Port:
    """The name and numpy's dtype of an input or output."""

    name: str
    dtype: str


@dataclass(frozen=True, slots=True)
class Bucket:
    """One compiled file, and the shapes that it takes and gives, batch axis included."""

    file: str
    inputs: tuple[tuple[int, ...], ...]
    outputs: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What was compiled, for what, by what.

    A process needs `cores` of them in a row: one model over all of them where `is_pipeline`, else
    one on each. With `is_dynamic` a bucket takes any number of examples. `on_cpu` counts the
    operators that the compiler left to the CPU.
    """

    target: str
    cores: int
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    buckets: tuple[Bucket, ...]
    is_pipeline: bool = False
    is_dynamic: bool = False
    precision: str = "fp32"
    compiler: str = ""
    on_cpu: Mapping[str, int] = field(default_factory=dict)
    format: int = FORMAT

    @property
    def copies(self) -> int:
        """How many examples of a bucket's batch size one run takes: the cores work side by side."""
        return 1 if self.is_pipeline else self.cores


def write(manifest: Manifest, folder: Path, path: Path) -> None:
    """Pack the buckets' files of `folder` and what they are into `path`."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(_entry(MANIFEST), json.dumps(asdict(manifest), sort_keys=True))
        for bucket in manifest.buckets:
            archive.writestr(_entry(bucket.file), (folder / bucket.file).read_bytes())


def read(path: str | Path) -> Manifest:
    """What the file at `path` holds. Raise ModelLoadFailed where it is no such file."""
    try:
        with zipfile.ZipFile(path) as archive:
            stored = json.loads(archive.read(MANIFEST))
            missing = {bucket["file"] for bucket in stored["buckets"]} - {*archive.namelist()}
        manifest = _manifest(stored)
    except (OSError, zipfile.BadZipFile, KeyError, TypeError, ValueError) as error:
        raise ModelLoadFailed(
            "The file is not a model compiled for Neuron.",
            why=f"{type(error).__name__}: {error}.",
            hint="Make one with `hookline model compile`.",
        ) from error
    if missing or not manifest.buckets or manifest.format != FORMAT:
        raise ModelLoadFailed(
            "The compiled model is not whole, or of another release of hookline.",
            why=f"Missing: {', '.join(sorted(missing)) or 'nothing'}. Format {manifest.format}.",
            hint="Compile the model again with `hookline model compile`.",
        )
    return manifest


def _entry(name: str) -> zipfile.ZipInfo:
    """The same bytes for the same content: no time of day is in it."""
    return zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))


def _manifest(stored: Mapping[str, Any]) -> Manifest:
    ports = {
        role: tuple(Port(str(each["name"]), str(each["dtype"])) for each in stored[role])
        for role in ("inputs", "outputs")
    }
    buckets = tuple(
        Bucket(str(each["file"]), _shapes(each["inputs"]), _shapes(each["outputs"]))
        for each in stored["buckets"]
    )
    on_cpu = {str(name): int(count) for name, count in stored["on_cpu"].items()}
    return Manifest(**{**stored, **ports, "buckets": buckets, "on_cpu": on_cpu})


def _shapes(stored: Any) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(int(size) for size in shape) for shape in stored)
