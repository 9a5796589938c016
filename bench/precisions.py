"""Every precision of the digits model: what it costs in answers, what it gives in time and size.

    python -m bench.precisions [--repeats 5] [--pytorch]

Made and compared by the product's own steps, on the 100 digits that nobody trained on; `--repeats`
times, of which the median speed-up counts. With --pytorch the model is made TorchScript as well, in
environments of a gigabyte in bench/.cache, for the precisions that PyTorch has.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from bench import machine
from hookline.adapters.machine.environments import install
from hookline.convert.isolation import Bench
from hookline.convert.torchscript import as_torchscript
from hookline.core.models import Precision
from hookline.evaluation.truth import read_truth
from hookline.evaluation.workshop import Material, Workshop
from hookline.runtime.backends.onnx import OnnxBackend
from hookline.runtime.backends.packages import TORCH
from hookline.runtime.backends.tensors import TensorSpec
from hookline.runtime.metadata import filled_up
from hookline.runtime.spec import PipelineSpec, Preparation, Tensor

DIGITS = machine.ROOT / "examples" / "digits"
CASES: tuple[tuple[str, Precision, bool], ...] = (
    ("fp16", "fp16", True),
    ("mixed", "mixed", True),
    ("int8, static", "int8", True),
    ("int8, dynamic", "int8", False),
    ("int4", "int4", True),
)
TORCH_CASES: tuple[tuple[str, Precision], ...] = (
    ("bf16, TorchScript", "bf16"),
    ("fp16, TorchScript", "fp16"),
)
DIGITS_SPEC = PipelineSpec(
    model_path=str(DIGITS / "digits.onnx"), labels=tuple(map(str, range(10))), threads=1
)
HEAD = """# Precisions of the digits model

{machine}

The convolutional model of `examples/digits`, trained by its `train.py`; {count} digits that it was
not trained on, dynamic int8 on 64 random inputs. Agreement: both answer the same class. Speed-up:
batches of 16 on one thread, original and variant in turns, median of {repeats} runs. TorchScript is
compared with the TorchScript that was made of the same file.

| precision | agreement | accuracy | largest error | mean error | speed-up | size |
|---|---|---|---|---|---|---|
| fp32 | | {accuracy} | | | 1.00 | {size} kB |
"""


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--pytorch", action="store_true", dest="has_pytorch")
    given = parser.parse_args(argv)
    repeats = given.repeats
    files = {path.name: path for path in sorted((DIGITS / "images").glob("*.png"))}
    material = Material(files, read_truth(DIGITS / "truth.csv"))
    rows = []
    for title, precision, has_files in CASES:
        chosen = material if has_files else Material()
        rows.append((title, [_measured(DIGITS_SPEC, precision, chosen) for _ in range(repeats)]))
    if given.has_pytorch:
        with tempfile.TemporaryDirectory() as work:
            spec = _as_torchscript(Path(work).resolve())
            rows += [
                (title, [_measured(spec, precision, material) for _ in range(repeats)])
                for title, precision in TORCH_CASES
            ]
    first = rows[0][1][0]
    text = HEAD.format(
        machine=machine.describe(),
        count=len(files),
        repeats=repeats,
        accuracy=_percent(first["original_accuracy"]),
        size=f"{first['original_size_bytes'] / 1000:.0f}",
    )
    text += "".join(_row(title, found) for title, found in rows)
    (machine.RESULTS / "precisions.md").write_text(text, encoding="utf-8")
    print(text)


def _as_torchscript(work: Path) -> PipelineSpec:
    """The digits model on PyTorch."""
    cache, path = machine.ROOT / "bench" / ".cache", str(DIGITS / "digits.onnx")
    cache.mkdir(exist_ok=True)
    backend = OnnxBackend.load(path, threads=1, gpus=0)
    (given,) = backend.inputs
    shapes = [[(rows, *given.shape[1:])] for rows in (1, 16)]
    made = as_torchscript(Bench("auto", ()), cache, print, Path(path), shapes, work)
    return msgspec.structs.replace(
        DIGITS_SPEC,
        model_path=str(made.path),
        format="torchscript",
        inputs=_tensors(backend.inputs),
        outputs=_tensors(backend.outputs),
        preparation=filled_up(Preparation(), backend.metadata),
        site_dirs=(str(install(list(TORCH.requirements), cache)),),
    )


def _tensors(found: Sequence[TensorSpec]) -> tuple[Tensor, ...]:
    return tuple(Tensor(each.name, each.dtype, each.shape) for each in found)


def _measured(spec: PipelineSpec, precision: Precision, material: Material) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as work:
        shop = Workshop(Bench("auto", ()), Path(work) / "cache", lambda _: None)
        told = shop.optimize(spec, precision, material, Path(work) / "variant.onnx")
    found: dict[str, Any] = told["accuracy"]
    return found


def _row(title: str, found: list[dict[str, Any]]) -> str:
    one = found[0]
    speed = statistics.median(each["speed_up"] for each in found)
    accuracy = _percent(one["accuracy"]) if "accuracy" in one else ""
    return (
        f"| {title} | {_percent(one['agreement'])} | {accuracy} | {one['largest_error']:.2g} "
        f"| {one['mean_error']:.2g} | {speed:.2f} | {one['size_bytes'] / 1000:.0f} kB, "
        f"{_percent(one['size_bytes'] / one['original_size_bytes'])} |\n"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


if __name__ == "__main__":
    main(sys.argv[1:])
