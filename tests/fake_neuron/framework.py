"""As much of torch, torch_neuron and torch_neuronx as hookline uses, on numpy.

A network is a list of operators on arrays. It is saved as an .npz, which stands for TorchScript.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from tests.fake_neuron.nrt import Array, Runtime, check_shapes

bfloat16 = "bfloat16"
OPERATORS: dict[str, Callable[..., Array]] = {
    "aten::add": lambda x, y: x + y,
    "aten::mul": lambda x, factor: x * factor,
    "aten::linear": lambda x, w, b: x @ w + b,
    "aten::relu": lambda x: np.maximum(x, 0),
    "aten::mean": lambda x: x.mean(axis=1, keepdims=True),
    "aten::sort": lambda x: np.sort(x, axis=-1),  # no compiler takes it
}
UNSUPPORTED = frozenset({"aten::sort"})
NEURON = "neuron::forward_v2"


class Tensor:
    def __init__(self, array: Array) -> None:
        self._array = array

    @property
    def dtype(self) -> str:
        return str(self._array.dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(int(size) for size in self._array.shape)

    def detach(self) -> Tensor:
        return self

    def to(self, device: str) -> Tensor:
        assert device == "cpu", "Compiled models take tensors of the CPU."
        return self

    def cpu(self) -> Tensor:
        return self

    def float(self) -> Tensor:
        return Tensor(self._array.astype(np.float32))

    def numpy(self) -> Array:
        return self._array


def from_numpy(array: Array) -> Tensor:
    return Tensor(array)


@contextlib.contextmanager
def no_grad() -> Iterator[None]:
    yield


inference_mode = no_grad


@dataclass
class Node:
    name: str

    def kind(self) -> str:
        return self.name


@dataclass
class Graph:
    kinds: Sequence[str]

    def nodes(self) -> list[Node]:
        return [Node(kind) for kind in self.kinds]


@dataclass
class Module:
    """`layers` run one after the other; the first takes all inputs, "add" joins them.

    With `compiled` it is what `trace` made: where it runs, in which shapes.
    """

    layers: list[tuple[str, list[Array]]]
    compiled: dict[str, Any] = field(default_factory=dict)
    runtime: Runtime | None = None

    def eval(self) -> Module:
        return self

    @property
    def inlined_graph(self) -> Graph:
        kinds = [kind for kind, _ in self.layers]
        if not self.compiled:
            return Graph(kinds)
        return Graph([NEURON, *(kind for kind in kinds if kind in UNSUPPORTED)])

    def __call__(self, *inputs: Tensor) -> Tensor:
        arrays = [each.numpy() for each in inputs]
        if self.compiled:
            assert self.runtime is not None, "The runtime would have to be there."
            self.runtime.claim()
            shapes = [(tuple(shape), dtype) for shape, dtype in self.compiled["inputs"]]
            check_shapes(shapes, arrays, is_dynamic=self.compiled["is_dynamic"])
        (kind, weights), *rest = self.layers
        value = OPERATORS[kind](*arrays, *weights)
        for kind, weights in rest:
            value = OPERATORS[kind](value, *weights)
        return Tensor(value)


def save(module: Module, path: str | Path) -> None:
    told = {"kinds": [kind for kind, _ in module.layers], "compiled": module.compiled}
    arrays: dict[str, Any] = {
        f"{index}.{number}": weight
        for index, (_, weights) in enumerate(module.layers)
        for number, weight in enumerate(weights)
    }
    with Path(path).open("wb") as file:
        np.savez(file, told=np.frombuffer(json.dumps(told).encode(), np.uint8), **arrays)


def load(file: str | Path | BinaryIO, map_location: str = "cpu") -> Module:
    del map_location
    with np.load(file, allow_pickle=False) as stored:
        told = json.loads(stored["told"].tobytes())
        layers = []
        for index, kind in enumerate(told["kinds"]):
            names = [name for name in stored.files if name.startswith(f"{index}.")]
            layers.append((kind, [stored[name] for name in sorted(names)]))
    module = Module(layers, told["compiled"])
    if module.compiled:
        module.runtime = _runtime()
        module.runtime.claim()
        module.runtime.check_model(module.compiled["target"], module.compiled["pipeline"])
    return module


def _runtime() -> Runtime:
    """What the framework registered as it was imported."""
    for name in ("torch_neuron", "torch_neuronx"):
        if name in sys.modules:
            found: Runtime = sys.modules[name].RUNTIME
            return found
    raise RuntimeError(f"Unknown builtin op: {NEURON}.")


def compiled(
    module: Module,
    example: Tensor | Sequence[Tensor],
    *,
    target: str,
    arguments: Sequence[str],
    pipeline: int = 1,
    is_dynamic: bool = False,
) -> Module:
    examples = [example] if isinstance(example, Tensor) else list(example)
    described = {
        "target": target,
        "inputs": [[list(each.shape), each.dtype] for each in examples],
        "pipeline": pipeline,
        "is_dynamic": is_dynamic,
        "arguments": list(arguments),
    }
    return _Traced(module.layers, described)


class _Traced(Module):
    """On the machine that compiles there is no device, so what was traced is not run there."""

    def __call__(self, *inputs: Tensor) -> Tensor:
        del inputs
        raise RuntimeError("NRT: no Neuron device was found.")


class DataParallel:
    """The model on every visible core; dimension 0 is shared out."""

    def __init__(self, model: Module) -> None:
        assert model.runtime is not None
        self._model, self._cores = model, len(model.runtime.cores)
        self._is_dynamic = True

    def disable_dynamic_batching(self) -> None:
        self._is_dynamic = False

    def __call__(self, *inputs: Tensor) -> Tensor:
        arrays = [each.numpy() for each in inputs]
        size = len(arrays[0]) // self._cores
        if not self._is_dynamic and size * self._cores != len(arrays[0]):
            raise RuntimeError(f"{len(arrays[0])} examples cannot be shared out evenly.")
        parts = [
            self._model(*(Tensor(part) for part in parts)).numpy()
            for parts in zip(*(np.array_split(array, self._cores) for array in arrays), strict=True)
            if len(parts[0])
        ]
        return Tensor(np.concatenate(parts))
