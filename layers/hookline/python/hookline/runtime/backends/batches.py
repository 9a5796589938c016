"""Find a model's batch axis, and run any number of examples through whatever it turns out to be.

A model may take any number of examples at once, a fixed number, or one; with a batch axis or
without. `BatchRunner` hides that: examples without a batch axis in, outputs without one out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hookline.core.errors import HooklineError, InvalidOutput
from hookline.runtime.backends.tensors import Backend, TensorSpec, zeros

Array = np.ndarray[Any, Any]
Example = Mapping[str, Array]
ANY = 0
_PROBES = (2, 3)


@dataclass(frozen=True, slots=True)
class BatchAxis:
    """How many examples one run takes (ANY, or a fixed number), and which tensors have the axis."""

    examples: int
    inputs: frozenset[str]
    outputs: frozenset[str]


class BatchRunner:
    """Runs examples on a backend along its batch axis."""

    def __init__(self, backend: Backend, axis: BatchAxis) -> None:
        self._backend, self._axis = backend, axis
        self._inputs = [spec.name for spec in backend.inputs]
        self._outputs = [spec.name for spec in backend.outputs]

    @property
    def examples(self) -> int:
        """How many examples one run takes; ANY where it does not matter."""
        return self._axis.examples

    def run(self, examples: Sequence[Example]) -> list[dict[str, Array]]:
        """One output per example, in order. All examples must have the same shapes."""
        if not examples:
            return []
        if self._axis.examples == 1:
            return [self._run_one(example) for example in examples]
        if self._axis.examples == ANY:
            return self._run_together(examples)
        size = self._axis.examples
        chunks = [examples[start : start + size] for start in range(0, len(examples), size)]
        return [output for chunk in chunks for output in self._run_padded(chunk)]

    def _run_one(self, example: Example) -> dict[str, Array]:
        with_axis = self._axis.inputs
        feeds = {
            name: value[None] if name in with_axis else value for name, value in example.items()
        }
        return {
            name: value[0] if name in self._axis.outputs and value.shape[:1] == (1,) else value
            for name, value in zip(self._outputs, self._backend.run(feeds), strict=True)
        }

    def _run_padded(self, chunk: Sequence[Example]) -> list[dict[str, Array]]:
        """Fill up with the last example: unlike zeros it is surely something the model takes."""
        missing = self._axis.examples - len(chunk)
        return self._run_together([*chunk, *[chunk[-1]] * missing])[: len(chunk)]

    def _run_together(self, examples: Sequence[Example]) -> list[dict[str, Array]]:
        count = len(examples)
        feeds = {name: _stacked([example[name] for example in examples]) for name in self._inputs}
        outputs = self._backend.run(feeds)
        for name, value in zip(self._outputs, outputs, strict=True):
            if value.shape[:1] != (count,):
                raise InvalidOutput(
                    f"The output {name} of {count} examples has the shape {list(value.shape)}.",
                    why="It cannot be split into one output per example.",
                    hint="Export the model with the batch as the first axis of every output.",
                )
        return [
            # The ellipsis keeps a row of a vector an array, where a plain index gives a scalar.
            {name: value[row, ...] for name, value in zip(self._outputs, outputs, strict=True)}
            for row in range(count)
        ]


def find_batch_axis(backend: Backend) -> BatchAxis:
    """Read the batch axis from the declared shapes; where they leave it open, try zeros."""
    inputs, outputs = backend.inputs, backend.outputs
    first = {spec.shape[0] if spec.shape else None for spec in inputs}
    names = frozenset(spec.name for spec in inputs), frozenset(spec.name for spec in outputs)
    if first == {-1} and (_all_follow(inputs, outputs) or _all_follow_in_a_run(backend)):
        return BatchAxis(ANY, *names)
    size = first.pop() if len(first) == 1 else None
    if size is not None and size > 1 and _is_fixed_batch(size, inputs, outputs):
        return BatchAxis(size, *names)
    with_axis = frozenset(spec.name for spec in inputs if spec.shape[:1] in ((-1,), (1,)))
    splittable = frozenset(s.name for s in outputs if s.shape[:1] == (1,) or _follows(inputs, s))
    return BatchAxis(1, with_axis, splittable if with_axis else frozenset())


def _all_follow(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> bool:
    return all(_follows(inputs, output) for output in outputs)


def _follows(inputs: Sequence[TensorSpec], output: TensorSpec) -> bool:
    """Whether the output's first axis is declared to be the inputs' one.

    An axis with a name of its own may count something else, such as the boxes found in an image.
    """
    known = {"", *(spec.axis_name(0) for spec in inputs)}
    return output.shape[:1] == (-1,) and output.axis_name(0) in known


def _all_follow_in_a_run(backend: Backend) -> bool:
    try:
        return all(
            value.shape[:1] == (count,)
            for count in _PROBES
            for value in backend.run({spec.name: zeros(spec, count) for spec in backend.inputs})
        )
    except HooklineError:
        return False


def _is_fixed_batch(size: int, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> bool:
    """Whether a fixed first dimension is a batch: every output has it too, and it is not all."""
    has_examples = all(len(spec.shape) > 1 for spec in inputs)
    return has_examples and all(spec.shape[:1] == (size,) for spec in outputs)


def _stacked(arrays: Sequence[Array]) -> Array:
    return arrays[0][None] if len(arrays) == 1 else np.stack(arrays)
