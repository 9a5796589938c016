"""Shape buckets: examples of different lengths are padded to a few sizes and so share batches.

An example is padded to its own bucket, never to its neighbours: what it is batched with does not
change what the model sees of it. Outputs are cut back to the example's own length.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hookline.core.errors import HooklineError, InvalidInput, ModelLoadFailed
from hookline.runtime.backends.batches import BatchAxis, Example
from hookline.runtime.backends.tensors import STRING, TensorSpec
from hookline.runtime.fitting import Array, Slot
from hookline.runtime.spec import Padding

Axes = Mapping[str, tuple[int, ...]]
"""The padded axes of tensors by name, counted without the batch axis."""

Run = Callable[[Sequence[Example]], list[dict[str, Array]]]


@dataclass(frozen=True, slots=True)
class Padded:
    """An example as the model is to see it, and its own length."""

    example: Example
    length: int


@dataclass(frozen=True, slots=True)
class Blanks:
    """What padding is made of: the axes of the inputs, and the value that fills each of them."""

    slots: Mapping[str, Slot]
    inputs: Axes
    values: Mapping[str, Any]

    def example(self, length: int) -> dict[str, Array]:
        """An example that is `length` long and nothing but padding; other variable axes are 1."""
        found = {}
        for name, slot in self.slots.items():
            shape = [1 if size < 0 else size for size in slot.shape]
            for at in self.inputs.get(name, ()):
                shape[at] = length
            nothing = "" if slot.dtype == object else 0
            found[name] = np.full(shape, self.values.get(name, nothing), slot.dtype)
        return found


class Padder:
    """Pads the examples of one model and cuts its outputs."""

    def __init__(self, buckets: Sequence[int], blanks: Blanks, outputs: Axes) -> None:
        self.buckets = tuple(buckets)
        self._blanks, self._outputs = blanks, outputs

    def warm_ups(self) -> list[Example]:
        """An example of each bucket, the smallest first."""
        return [self._blanks.example(length) for length in self.buckets]

    def pad(self, example: Example) -> Padded:
        """`example` at the size of its bucket; one longer than all of them stays as it is.

        Raise InvalidInput where its inputs do not agree on its length.
        """
        inputs = self._blanks.inputs
        lengths = {example[name].shape[axis] for name, axes in inputs.items() for axis in axes}
        if len(lengths) != 1:
            names = ", ".join(inputs)
            raise InvalidInput(
                f"The inputs have different lengths: {sorted(lengths)}.",
                why=f"They are padded together along the same axis: {names}.",
            )
        length = lengths.pop()
        at = bisect_left(self.buckets, length)
        missing = self.buckets[at] - length if at < len(self.buckets) else 0
        return Padded(self._longer(example, missing) if missing else example, length)

    def cut(self, outputs: Any, length: int) -> Any:
        """What the model gave for an example that was `length` long, without the padding's part."""
        if isinstance(outputs, dict):
            return {name: self._shorter(name, array, length) for name, array in outputs.items()}
        return self._shorter(next(iter(self._outputs)), outputs, length)

    def _longer(self, example: Example, missing: int) -> Example:
        inputs, values = self._blanks.inputs, self._blanks.values
        return {
            name: _padded(array, inputs[name], missing, values[name]) if name in inputs else array
            for name, array in example.items()
        }

    def _shorter(self, name: str, array: Array, length: int) -> Array:
        for axis in self._outputs[name]:
            array = array[(slice(None),) * axis + (slice(length),)]
        return array


def padder_of(
    padding: Padding,
    specs: Sequence[TensorSpec],
    axis: BatchAxis,
    slots: Mapping[str, Slot],
    run: Run,
) -> Padder:
    """The padder of a model whose inputs are `specs`.

    The model is run twice, on padding alone, to see which outputs grow with it. Raise
    ModelLoadFailed where `padding` does not fit.
    """
    inputs = _padded_inputs(padding.axis, specs, axis)
    blanks = Blanks(slots, inputs, _pad_values(padding.values, inputs, slots))
    first, *more = padding.buckets

    def outputs_of(length: int) -> dict[str, Array]:
        try:
            return run([blanks.example(length)])[0]
        except HooklineError as error:
            raise ModelLoadFailed(
                f"The model cannot be padded to {length}.",
                why=f"It fails on an input that is nothing but padding: {error}",
                hint="Deploy it without buckets.",
            ) from error

    other = more[0] if more else first + 1
    seen = [(length, outputs_of(length)) for length in (first, other)]
    return Padder(padding.buckets, blanks, _followers(seen))


def padded_together(
    padder: Padder, predict: Callable[[list[Any]], list[Any]], examples: Sequence[Example]
) -> list[Any]:
    """One output or HooklineError per example, in order: padded, predicted and cut."""
    results: list[Any] = [_attempt(padder, example) for example in examples]
    good = [at for at, result in enumerate(results) if isinstance(result, Padded)]
    outputs = predict([results[at].example for at in good]) if good else []
    for at, output in zip(good, outputs, strict=True):
        is_error = isinstance(output, HooklineError)
        results[at] = output if is_error else padder.cut(output, results[at].length)
    return results


def _attempt(padder: Padder, example: Example) -> Padded | InvalidInput:
    try:
        return padder.pad(example)
    except InvalidInput as error:
        return error


def _padded(array: Array, axes: Sequence[int], missing: int, value: Any) -> Array:
    shape = list(array.shape)
    for axis in axes:
        shape[axis] += missing
    padded = np.full(shape, value, array.dtype)
    padded[tuple(slice(size) for size in array.shape)] = array
    return padded


def _padded_inputs(wanted: str, specs: Sequence[TensorSpec], axis: BatchAxis) -> Axes:
    """The axes called `wanted`, by name or by number with the batch; "" is the only variable one.

    Axes of one name are of one size. Without names, those in the same place are taken to be.
    """
    found: dict[str, dict[str, tuple[int, ...]]] = {}
    for spec in specs:
        skipped = 1 if spec.name in axis.inputs else 0
        for at in range(skipped, len(spec.shape)):
            if spec.shape[at] >= 0:
                continue
            called = spec.axis_name(at)
            for key in {called or str(at), str(at)} if wanted else {called or str(at)}:
                places = found.setdefault(key, {})
                places[spec.name] = (*places.get(spec.name, ()), at - skipped)
    if wanted in found:
        return found[wanted]
    known = ", ".join(found) or "none"
    if wanted or not found:
        raise ModelLoadFailed(
            f"The model has no variable axis {wanted}.".replace(" .", "."),
            why=f"Its inputs' variable axes beside the batch are: {known}.",
            hint="Name one of them with --pad-axis." if found else "Deploy it without buckets.",
        )
    if len(found) > 1:
        raise ModelLoadFailed(
            f"The inputs of the model have several variable axes: {known}.",
            why="One of them can be padded to buckets.",
            hint="Name it with --pad-axis.",
        )
    return next(iter(found.values()))


def _pad_values(
    given: Mapping[str, float], inputs: Axes, slots: Mapping[str, Slot]
) -> dict[str, Any]:
    """What each padded input is filled up with: 0 or "", unless `given` says otherwise."""
    for name in given:
        if name not in inputs:
            raise ModelLoadFailed(
                f"The model has no input {name} that is padded.",
                why=f"Those are {', '.join(inputs)}.",
                hint="Say --pad INPUT=VALUE with one of them.",
            )
    return {name: _pad_value(slots[name], given.get(name)) for name in inputs}


def _pad_value(slot: Slot, value: float | None) -> Any:
    if slot.dtype == np.dtype(object):
        if value is not None:
            raise ModelLoadFailed(
                f"The input {slot.name} cannot be padded with {value:g}.",
                why=f"It takes {STRING}s, which are padded with empty ones.",
                hint=f"Leave out --pad {slot.name}.",
            )
        return ""
    try:
        return slot.cast(np.float64(value or 0.0) if slot.dtype.kind != "b" else bool(value))
    except InvalidInput as error:
        raise ModelLoadFailed(
            f"The input {slot.name} cannot be padded with {value:g}.",
            why=f"The model takes {slot.dtype}.",
            hint=f"Say --pad {slot.name}=VALUE with a value that it can hold.",
        ) from error


def _followers(runs: Sequence[tuple[int, Mapping[str, Array]]]) -> Axes:
    """The axes of the outputs that are as long as the padded one, in runs of different lengths."""
    names = list(runs[0][1])
    return {name: _following(name, [(at, run[name].shape) for at, run in runs]) for name in names}


def _following(name: str, runs: Sequence[tuple[int, tuple[int, ...]]]) -> tuple[int, ...]:
    shapes = [shape for _, shape in runs]
    follows = []
    is_alike = len({len(shape) for shape in shapes}) == 1
    for axis in range(len(shapes[0])) if is_alike else ():
        if all(shape[axis] == length for length, shape in runs):
            follows.append(axis)
        elif len({shape[axis] for shape in shapes}) > 1:
            is_alike = False
    if is_alike:
        return tuple(follows)
    seen = ", ".join(f"{list(shape)} for {length}" for length, shape in runs)
    raise ModelLoadFailed(
        f"The output {name} cannot be cut back to an example's own length.",
        why=f"Its shape grows with the padded axis in a way of its own: {seen}.",
        hint="Deploy the model without buckets.",
    )
