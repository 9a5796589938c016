"""What torch_neuron and torch_neuronx offer to a program that compiles, argument by argument."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.fake_neuron import framework
from tests.fake_neuron.framework import UNSUPPORTED, Module, Tensor

_CAST = ("none", "all", "fp32-cast-all", "fp32-cast-all-fp16", "fp32-cast-matmult")
INF1_FLAGS = {"--neuroncore-pipeline-cores": None, "--fast-math": _CAST}
INF2_FLAGS = {
    "--auto-cast": ("none", "matmult", "all"),
    "--auto-cast-type": ("bf16", "fp16", "tf32", "fp8_e4m3"),
}


@dataclass
class PartitionerConfig:
    """Asks torch_neuronx to leave to the CPU what the compiler refuses."""


def trace_inf1(
    func: Module,
    example_inputs: Tensor | tuple[Tensor, ...],
    *,
    compiler_args: Sequence[str] = (),
    compiler_workdir: str | None = None,
    dynamic_batch_size: bool = False,
    fallback: bool = True,
) -> Module:
    del compiler_workdir
    flags = _flags(compiler_args, INF1_FLAGS)
    _refuse_unsupported(func, allowed=fallback)
    return framework.compiled(
        func,
        example_inputs,
        target="inf1",
        arguments=compiler_args,
        pipeline=int(flags.get("--neuroncore-pipeline-cores", "1")),
        is_dynamic=dynamic_batch_size,
    )


def trace_inf2(
    func: Module,
    example_inputs: Tensor | tuple[Tensor, ...],
    *,
    compiler_args: Sequence[str] = (),
    compiler_workdir: str | None = None,
    partitioner_config: PartitionerConfig | None = None,
) -> Module:
    del compiler_workdir
    _flags(compiler_args, INF2_FLAGS)
    _refuse_unsupported(func, allowed=partitioner_config is not None)
    return framework.compiled(func, example_inputs, target="inf2", arguments=compiler_args)


def dynamic_batch(traced: Module) -> Module:
    traced.compiled["is_dynamic"] = True
    return traced


def analyze(func: Module, example_inputs: Any, compiler_workdir: str | None = None) -> Any:
    del example_inputs, compiler_workdir
    refused = [kind for kind, _ in func.layers if kind in UNSUPPORTED]
    return {
        "unsupported_operators": [{"kind": kind, "failureAt": "neuronx-cc"} for kind in refused]
    }


def _refuse_unsupported(module: Module, *, allowed: bool) -> None:
    refused = [kind for kind, _ in module.layers if kind in UNSUPPORTED]
    if refused and not allowed:
        raise RuntimeError(f"The compiler does not support the operator {refused[0]}.")


def _flags(given: Sequence[str], known: dict[str, Any]) -> dict[str, str]:
    found = dict(zip(given[::2], given[1::2], strict=True))
    for name, value in found.items():
        if name not in known or (known[name] and value not in known[name]):
            raise RuntimeError(f"Compilation failure: unrecognized arguments: {name} {value}")
    return found
