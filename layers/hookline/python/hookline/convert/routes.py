"""How each kind of model becomes one that a replica runs: the step, and the packages it needs.

The pins are releases that work together; they are installed once, into a folder of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

from hookline.core.formats import Kind
from hookline.runtime.backends.packages import TORCH


@dataclass(frozen=True, slots=True)
class Route:
    """`module` does it with `packages`, on Python `python` where only that one will do."""

    title: str
    module: str
    packages: tuple[str, ...] = ()
    python: str = ""
    version: str = "1"  # raised when the step makes something else of the same file


_STEPS = "hookline.convert.steps"
ROUTES: dict[Kind, Route] = {
    "torchscript": Route("TorchScript", f"{_STEPS}.read_torch", TORCH.requirements),
    "pt2": Route("torch.export", f"{_STEPS}.read_torch", TORCH.requirements),
    "neon": Route("neon", f"{_STEPS}.from_neon"),
    "onnx": Route("ONNX with external data", f"{_STEPS}.merge_onnx"),
}
