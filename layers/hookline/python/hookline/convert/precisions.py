"""The precisions that a model can be made to compute in: how, with what, and what none can do."""

from __future__ import annotations

from dataclasses import dataclass

from hookline.core.errors import InvalidInput, Unsupported
from hookline.core.models import Precision

_STEPS = "hookline.convert.steps"
# The releases that hookline itself is tested with; protobuf and sympy are what they need.
PACKAGES = ("numpy==2.4.6", "onnx==1.23.2", "onnxruntime==1.31.1", "sympy==1.14.0")
MODULES = ("onnx", "onnxruntime", "sympy")  # a Python that has them all needs no environment


@dataclass(frozen=True, slots=True)
class Recipe:
    """`module` makes it. `with_files` and `without` say how, with and without calibration."""

    module: str
    with_files: str
    without: str

    def method(self, *, has_files: bool) -> str:
        return self.with_files if has_files else self.without


_HALVES = f"{_STEPS}.to_half"
_FP16 = "weights and products in float16, inputs and outputs as they were"
_MIXED = "float16, but float32 where sums and exponents need it"
_INT4 = "weights of matrix products in blocks of 32 with 4 bits each, products in float32"
RECIPES: dict[Precision, Recipe] = {
    "fp16": Recipe(_HALVES, _FP16, _FP16),
    "mixed": Recipe(_HALVES, _MIXED, _MIXED),
    "int8": Recipe(
        f"{_STEPS}.to_int8",
        "static: weights per channel and activations in 8 bits, ranges from the files",
        "dynamic: matrix products in 8 bits, ranges from each input; the rest in float32",
    ),
    "int4": Recipe(f"{_STEPS}.to_int4", _INT4, _INT4),
}

_TORCH = f"{_STEPS}.to_torch_half"
_BF16 = "weights and products in bfloat16, inputs and outputs as they were"
TORCH_RECIPES: dict[Precision, Recipe] = {
    "bf16": Recipe(_TORCH, _BF16, _BF16),
    "fp16": Recipe(_TORCH, _FP16, _FP16),
}


def recipe(precision: Precision, model_format: str) -> Recipe:
    """How to make it. Raise InvalidInput or Unsupported, saying what works instead."""
    if model_format == "neuron":
        raise Unsupported(
            "A neuron model computes in what it was compiled for.",
            hint="Compile the model it was made of again, with --precision.",
        )
    if model_format != "onnx" and precision not in TORCH_RECIPES:
        raise Unsupported(
            f"A {model_format} model is made in {' or '.join(TORCH_RECIPES)}, not in {precision}.",
            why="Its file holds code, in which hookline changes the types alone.",
            hint="Use one of them, or export it to ONNX and import that.",
        )
    if model_format != "onnx":
        return TORCH_RECIPES[precision]
    if precision == "bf16":
        raise Unsupported(
            "An ONNX model cannot be served in bf16 here.",
            why="onnxruntime has no convolution and no matrix product in bfloat16 on CPUs.",
            hint="Use fp16 or mixed, which are as small, or int8, which is also faster.",
        )
    if precision not in RECIPES:
        raise InvalidInput(
            f"There is nothing to do for {precision}.", hint=f"Give one of {', '.join(RECIPES)}."
        )
    return RECIPES[precision]
