"""Fit inputs of any size into the shapes that were compiled, and cut the outputs back.

The compiler fixes every shape. Examples are filled up with the last of them, other dimensions with
zeros; which of a model's answers then depend on the zeros only whoever compiled it knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from hookline.core.errors import InvalidInput
from hookline.runtime.backends.tensors import TensorSpec
from hookline.runtime.neuron.artifact import Bucket, Manifest

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]
_VARIABLE = -1


@dataclass(frozen=True, slots=True)
class Run:
    """One run of bucket `number`: what it is given, and how much of its answer counts."""

    number: int
    feeds: tuple[Array, ...]
    count: int


class Buckets:
    """The shapes of one compiled model."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest, self._all = manifest, manifest.buckets
        self._sources = _sources(self._all)
        self.inputs = _specs(manifest.inputs, [bucket.inputs for bucket in self._all])
        self.outputs = _specs(manifest.outputs, [bucket.outputs for bucket in self._all])

    def runs(self, feeds: Sequence[Array]) -> Iterator[Run]:
        """What to run for `feeds`, in order. Raise InvalidInput for what no bucket holds."""
        counts = {len(feed) for feed in feeds}
        if len(counts) != 1:
            raise InvalidInput(f"The inputs hold different numbers of examples: {sorted(counts)}.")
        total = counts.pop()
        fitting = self._fitting([feed.shape[1:] for feed in feeds])
        start = 0
        while start < total:
            number = self._sized(fitting, total - start)
            count = min(total - start, self._room(number) or total)
            part = [feed[start : start + count] for feed in feeds]
            yield Run(number, tuple(self._padded(number, part)), count)
            start += count

    def sliced(self, run: Run, outputs: Sequence[Array], feeds: Sequence[Array]) -> list[Array]:
        """The part of `outputs` that the caller asked for."""
        return [
            output[(slice(run.count), *_cuts(sources, output.ndim, feeds))]
            for output, sources in zip(outputs, self._sources, strict=True)
        ]

    def _room(self, number: int) -> int:
        """How many examples a run takes; 0 for any number."""
        if self._manifest.is_dynamic:
            return 0
        return self._all[number].inputs[0][0] * self._manifest.copies

    def _fitting(self, shapes: Sequence[Shape]) -> list[int]:
        """The buckets of the smallest shape that holds `shapes`, which have no batch axis."""
        sizes = {
            number: sum(prod(shape[1:]) for shape in bucket.inputs)
            for number, bucket in enumerate(self._all)
            if all(_holds(has[1:], wants) for has, wants in zip(bucket.inputs, shapes, strict=True))
        }
        if not sizes:
            offered = sorted({str([list(s[1:]) for s in bucket.inputs]) for bucket in self._all})
            raise InvalidInput(
                f"The model was not compiled for examples of the shape {[*map(list, shapes)]}.",
                why=f"It was for {', '.join(offered)}.",
                hint="Send smaller examples, or compile the model with a --shape that holds them.",
            )
        least = min(sizes.values())
        return [number for number, size in sizes.items() if size == least]

    def _sized(self, numbers: Sequence[int], count: int) -> int:
        """The bucket of the least batch that holds `count`, else of the largest."""
        rooms = {number: self._room(number) for number in numbers}
        enough = [number for number in numbers if not rooms[number] or rooms[number] >= count]
        return min(enough, key=rooms.__getitem__) if enough else max(numbers, key=rooms.__getitem__)

    def _padded(self, number: int, feeds: Sequence[Array]) -> Iterator[Array]:
        room = self._room(number)
        for feed, shape in zip(feeds, self._all[number].inputs, strict=True):
            missing = [
                (0, size - given) for size, given in zip(shape[1:], feed.shape[1:], strict=True)
            ]
            whole = np.pad(feed, [(0, 0), *missing]) if any(map(sum, missing)) else feed
            if room > len(feed):
                last = np.repeat(whole[-1:], room - len(feed), axis=0)
                whole = np.concatenate([whole, last])
            yield whole


def _holds(has: Shape, wants: Shape) -> bool:
    return len(has) == len(wants) and all(h >= w for h, w in zip(has, wants, strict=True))


def _specs(ports: Sequence[Any], shapes: Sequence[Sequence[Shape]]) -> list[TensorSpec]:
    """Shapes as a caller sees them: what differs between buckets may vary, and the batch does."""
    return [
        TensorSpec(port.name, port.dtype, _merged([each[index] for each in shapes]))
        for index, port in enumerate(ports)
    ]


def _merged(shapes: Sequence[Shape]) -> Shape:
    sizes = [set(axis) for axis in zip(*shapes, strict=True)][1:]
    return (_VARIABLE, *(axis.pop() if len(axis) == 1 else _VARIABLE for axis in sizes))


def _sources(buckets: Sequence[Bucket]) -> list[list[list[tuple[int, int]]]]:
    """For each output and axis after the batch: the inputs' axes that it may be as long as.

    Where buckets are square several are, and nothing tells which it is.
    """
    by_lengths: dict[tuple[int, ...], list[tuple[int, int]]] = {}
    for index, shape in enumerate(buckets[0].inputs):
        for axis in range(1, len(shape)):
            lengths = tuple(bucket.inputs[index][axis] for bucket in buckets)
            if len({*lengths}) > 1:
                by_lengths.setdefault(lengths, []).append((index, axis))
    return [
        [
            by_lengths.get(tuple(bucket.outputs[index][axis] for bucket in buckets), [])
            for axis in range(1, len(shape))
        ]
        for index, shape in enumerate(buckets[0].outputs)
    ]


def _cuts(
    sources: Sequence[Sequence[tuple[int, int]]], rank: int, feeds: Sequence[Array]
) -> Iterator[slice]:
    """Rather some of the padding is left than something of the answer lost."""
    for places in sources[: rank - 1]:
        sizes = [feeds[index].shape[axis] for index, axis in places]
        yield slice(max(sizes)) if sizes else slice(None)
