"""A machine with Neuron devices for tests: a home as /opt/neuron, whose packages are the fakes."""

from __future__ import annotations

import json
import shutil
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hookline.runtime.neuron import artifact
from hookline.runtime.neuron.artifact import Bucket, Manifest, Port
from tests.fake_neuron.framework import Module, compiled, from_numpy, save
from tests.fake_neuron.nrt import MACHINE, Array

Shape = tuple[int, ...]

HERE = Path(__file__).parent
_TORCH = """
from tests.fake_neuron import framework as jit
from tests.fake_neuron.framework import Tensor, bfloat16, from_numpy, inference_mode, no_grad
__version__ = "2.9.0+fake"
"""
_FRAMEWORK = """
from pathlib import Path
import torch
from tests.fake_neuron import frontends
from tests.fake_neuron.frontends import analyze, dynamic_batch, PartitionerConfig
from tests.fake_neuron.framework import DataParallel
from tests.fake_neuron.nrt import Runtime
RUNTIME = Runtime(Path(__file__).parents[1])
trace = frontends.trace_{target}
"""
_FRAMEWORKS = {"inf1": ("torch_neuron", "neuron_cc"), "inf2": ("torch_neuronx", "neuronx_cc")}


def neuron_home(folder: Path, target: str, *, cores: int, version: str = "2.9.0.2.15") -> Path:
    """A home of AWS's SDK in `folder`, on a machine with `cores` of the target's kind."""
    name, compiler = _FRAMEWORKS[target]
    site = folder / "lib" / "python3.11" / "site-packages"
    for package, text in (
        ("torch", _TORCH),
        (name, _FRAMEWORK.format(target=target)),
    ):
        (site / package).mkdir(parents=True)
        (site / package / "__init__.py").write_text(text)
    shutil.copytree(HERE, site / "tests" / HERE.name, ignore=shutil.ignore_patterns("__pycache__"))
    (site / MACHINE).write_text(json.dumps({"target": target, "cores": cores}))
    for package in (name, compiler):
        info = site / f"{package}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
        )
    installed = Path(np.__file__).parents[1]
    for path in installed.glob("numpy*"):
        (site / path.name).symlink_to(path)
    (folder / "bin").mkdir()
    (folder / "bin" / "python").symlink_to(Path(sys.executable).resolve())
    return folder


def network(path: Path, *layers: tuple[str, list[Array]]) -> Path:
    """Save a network as the fake's TorchScript, with what tells TorchScript from other zips."""
    save(Module(list(layers)), path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("net/code/net.py", "")
        archive.writestr("net/constants.pkl", "")
    return path


def compiled_file(
    path: Path,
    target: str,
    layers: list[tuple[str, list[Array]]],
    buckets: Sequence[tuple[Sequence[Shape], Sequence[Shape]]],
    *,
    cores: int = 1,
    is_pipeline: bool = False,
    is_dynamic: bool = False,
) -> Path:
    """A model as `hookline model compile` leaves it; `buckets` are shapes of inputs and outputs."""
    files = path.parent / f"{path.name}-files"
    files.mkdir()
    for number, (inputs, _) in enumerate(buckets):
        examples = [from_numpy(np.zeros(shape, np.float32)) for shape in inputs]
        traced = compiled(
            Module(layers),
            examples,
            target=target,
            arguments=(),
            pipeline=cores if is_pipeline else 1,
            is_dynamic=is_dynamic,
        )
        save(traced, files / f"{number}.pt")
    manifest = Manifest(
        target=target,
        cores=cores,
        inputs=tuple(Port(f"x{index}", "float32") for index in range(len(buckets[0][0]))),
        outputs=tuple(Port(f"y{index}", "float32") for index in range(len(buckets[0][1]))),
        buckets=tuple(
            Bucket(f"{number}.pt", tuple(map(tuple, inputs)), tuple(map(tuple, outputs)))
            for number, (inputs, outputs) in enumerate(buckets)
        ),
        is_pipeline=is_pipeline,
        is_dynamic=is_dynamic,
    )
    artifact.write(manifest, files, path)
    return path
