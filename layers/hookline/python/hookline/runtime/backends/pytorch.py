"""Run TorchScript and torch.export models on PyTorch, on the CPU or on one GPU.

Both kinds of file hold code, so this runs in a sandboxed replica or step and nowhere else. It
imports torch, numpy and hookline's errors alone: steps run it in an environment of torch's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from hookline.core.errors import InvalidInput, InvalidOutput, ModelLoadFailed
from hookline.runtime.backends.tensors import TensorSpec

Array = np.ndarray[Any, Any]
FORMATS = ("torchscript", "pt2")
_CPU = "cpu"
_MAX_WHY = 500
_EMPTY: Mapping[str, str] = {}


class TorchBackend:
    """A PyTorch model in this process, on one device."""

    def __init__(
        self, module: Any, device: str, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]
    ) -> None:
        self._module, self._device = module, device
        self.inputs, self.outputs = list(inputs), list(outputs)
        self.metadata = _EMPTY

    @classmethod
    def load(
        cls,
        path: str,
        *,
        kind: str,
        threads: int,
        gpus: int,
        inputs: Sequence[TensorSpec],
        outputs: Sequence[TensorSpec],
    ) -> TorchBackend:
        """Load the model at `path`, a file of `kind`. Raise ModelLoadFailed, saying why."""
        if threads:
            torch.set_num_threads(threads)
        device = device_of(gpus)
        return cls(load_module(path, kind, device), device, inputs, outputs)

    def run(self, feeds: Mapping[str, Array]) -> list[Array]:
        return [array for _, array in self.answer([feeds[spec.name] for spec in self.inputs])]

    def answer(self, values: Sequence[Array]) -> list[tuple[str, Array]]:
        """The named outputs for inputs in their order. Raise InvalidInput when it refuses."""
        try:
            with torch.inference_mode():
                given = [_tensor(value, self._device) for value in values]
                return [(name, _array(value)) for name, value in _named(self._module(*given))]
        except (RuntimeError, AssertionError, ValueError, IndexError, TypeError) as error:
            raise InvalidInput("The model failed on this input.", why=last_line(error)) from error


def device_of(gpus: int) -> str:
    """The device that a replica with `gpus` runs on. Raise ModelLoadFailed where it is missing."""
    if not gpus:
        return _CPU
    if not torch.cuda.is_available():
        raise ModelLoadFailed(
            f"The model asks for {gpus} GPU, but this machine's PyTorch cannot use one.",
            why=f"torch {torch.__version__} finds no CUDA device.",
            hint="Deploy without -g, or on a machine with a GPU and its driver.",
        )
    return "cuda:0"  # a replica sees the GPUs that are its own, and uses the first


def load_module(path: str, kind: str, device: str) -> Any:
    """The callable in the file, all of it on `device`. Raise ModelLoadFailed, saying why."""
    load = _script if kind == "torchscript" else _exported
    try:
        return load(path, device)
    except Exception as error:  # torch raises whatever its readers meet
        raise ModelLoadFailed(
            f"The model cannot be loaded by torch {torch.__version__}.",
            why=last_line(error),
            hint="Save it again with this version of torch, or export it to ONNX.",
        ) from error


def _script(path: str, device: str) -> Any:
    return torch.jit.load(path, map_location=device).eval()


def _exported(path: str, device: str) -> Any:
    program = torch.export.load(path)
    if device != _CPU:
        from torch.export.passes import move_to_device_pass  # noqa: PLC0415 - on a GPU alone

        program = move_to_device_pass(program, device)
    return program.module()


def _tensor(value: Array, device: str) -> Any:
    return torch.from_numpy(np.require(value, requirements=["C", "W"])).to(device)


def _array(value: Any) -> Array:
    if not isinstance(value, torch.Tensor):
        raise InvalidOutput(
            f"The model answered a {type(value).__name__} where a tensor was expected.",
            hint="Have its forward return a tensor, or a tuple or dict of tensors.",
        )
    found = value.detach()
    if found.dtype == torch.bfloat16:  # numpy has no such type
        found = found.float()
    array: Array = found.cpu().numpy()
    return array


def _named(answer: Any) -> list[tuple[str, Any]]:
    if isinstance(answer, Mapping):
        return [(str(name), value) for name, value in answer.items()]
    if isinstance(answer, (tuple, list)):
        return [(f"output_{index}", value) for index, value in enumerate(answer)]
    return [("output", answer)]


def last_line(error: Exception) -> str:
    """The last line that says something: torch puts a stack of its own above it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:_MAX_WHY]
