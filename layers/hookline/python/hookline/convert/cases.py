"""Inputs to compare a model and its conversion on: random ones, and the user's samples.

Of hookline it imports only what `hookline.convert.job` may; numpy is in every environment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hookline.convert.examples import stored_examples
from hookline.convert.job import SAMPLES, Job, Tensor
from hookline.core.errors import HooklineError, InvalidInput, InvalidModel

Array = np.ndarray[Any, Any]
Case = tuple[list[Array], list[Array]]  # inputs and outputs, each in the model's order
SEED = 2016
_ROWS = (1, 3)
_SIZES = (8, 1, 64, 224, 299)  # tried for dimensions that the model leaves open
ARRAYS = (".npy", ".npz")  # samples that are the inputs themselves
_MAX_WHY = 300
# Beyond this a conversion computes something else: float32 itself is some 1e-6 off.
_RELATIVE, _ABSOLUTE = 1e-2, 1e-3


def record(job: Job, inputs: Sequence[Tensor], call: Callable[[list[Array]], list[Array]]) -> int:
    """Run the source on random inputs and on the samples, and store all; return how many."""
    made = [_first_that_runs(inputs, rows, call) for rows in _ROWS]
    made += tried(job, inputs, call)
    return _store(job, made)


def ask(
    job: Job,
    inputs: Sequence[Tensor],
    shapes: Sequence[Sequence[Sequence[int]]],
    call: Callable[[list[Array]], list[Array]],
) -> int:
    """Run it on random inputs of each of `shapes`, one for each input, and store all."""
    made = []
    for several in shapes:
        fixed = [Tensor(t.name, t.dtype, tuple(s)) for t, s in zip(inputs, several, strict=True)]
        given = random_inputs(fixed, 1, 1)
        made.append((given, call(given)))
    return _store(job, made)


def _store(job: Job, made: Sequence[Case]) -> int:
    stored: dict[str, Any] = {}
    for index, (given, answered) in enumerate(made):
        stored |= {f"{index}.in.{at}": value for at, value in enumerate(given)}
        stored |= {f"{index}.out.{at}": np.asarray(value) for at, value in enumerate(answered)}
    np.savez(Path(job.folder) / SAMPLES, **stored)
    return len(made)


def tried(
    job: Job, inputs: Sequence[Tensor], call: Callable[[list[Array]], list[Array]]
) -> Iterator[Case]:
    """The samples of `job` and what `call` answers. Raise InvalidInput for one it does not take."""
    for name, given in _samples(job, inputs):
        try:
            yield given, call(given)
        except Exception as error:  # frameworks raise what they like
            told = f"{error.what} {error.why}" if isinstance(error, HooklineError) else str(error)
            text = " ".join(told.split())[:_MAX_WHY]
            raise InvalidInput(
                f"The model does not take the sample {name}.",
                why=f"{text}." if text and text[-1] not in ".!?" else text,
                hint="Give what the model takes: an array of the shape of its input, or a file as "
                "streams are sent.",
            ) from error


def recorded(path: Path) -> Iterator[Case]:
    """The cases that `record` stored."""
    with np.load(path, allow_pickle=False) as stored:
        count = len({name.partition(".")[0] for name in stored.files})
        for index in range(count):
            yield _numbered(stored, f"{index}.in."), _numbered(stored, f"{index}.out.")


def random_inputs(inputs: Sequence[Tensor], rows: int, size: int) -> list[Array]:
    """One array for each input: `rows` examples, and `size` in other open dimensions."""
    chance = np.random.default_rng(SEED + rows)
    return [_random(tensor, rows, size, chance) for tensor in inputs]


def largest_difference(wanted: Array, found: Array) -> float:
    """Between numbers the largest distance; between anything else the share that differs."""
    if wanted.shape != found.shape:
        raise InvalidModel(
            f"The converted model answers the shape {list(found.shape)} where the original "
            f"answers {list(wanted.shape)}.",
            hint="Convert it with the framework's own tools, and compare.",
        )
    if wanted.size == 0:
        return 0.0
    if wanted.dtype.kind in "fiu" and found.dtype.kind in "fiu":
        both = (wanted.astype(np.float64), found.astype(np.float64))
        same = (both[0] == both[1]) | (np.isnan(both[0]) & np.isnan(both[1]))
        return float(np.where(same, 0.0, np.abs(both[0] - both[1])).max())
    return float(np.mean(wanted.astype(str) != found.astype(str)))


def held(wanted: Sequence[Array], found: Sequence[Array]) -> float:
    """The largest difference of the outputs. Raise InvalidModel where it is no rounding."""
    if len(found) != len(wanted):
        raise InvalidModel(
            f"The converted model has {len(found)} outputs, the original {len(wanted)}."
        )
    gaps = [largest_difference(one, other) for one, other in zip(wanted, found, strict=True)]
    for one, other, gap in zip(wanted, found, gaps, strict=True):
        _refuse_if_wrong(one, other, gap)
    return max(gaps)


def _refuse_if_wrong(wanted: Array, found: Array, difference: float) -> None:
    if wanted.dtype.kind in "fc" and np.allclose(
        wanted, found, rtol=_RELATIVE, atol=_ABSOLUTE, equal_nan=True
    ):
        return
    if wanted.dtype.kind not in "fc" and difference == 0:
        return
    raise InvalidModel(
        f"The converted model answers up to {difference:.3g} differently from the original.",
        why="Both were run on the same inputs.",
        hint="Convert it with the framework's own tools, compare, and import what they made.",
    )


def _first_that_runs(
    inputs: Sequence[Tensor], rows: int, call: Callable[[list[Array]], list[Array]]
) -> Case:
    """The first size that the source accepts; its refusal of the last if it accepts none."""
    is_open = any(size < 0 for tensor in inputs for size in tensor.shape[1:])
    sizes = _SIZES if is_open else _SIZES[:1]
    for size in sizes:
        given = random_inputs(inputs, rows, size)
        try:
            return given, call(given)
        except Exception:  # frameworks raise what they like
            if size == sizes[-1]:
                raise
    raise AssertionError("There is at least one size.")


def _random(tensor: Tensor, rows: int, size: int, chance: np.random.Generator) -> Array:
    shape = [size if each < 0 else each for each in tensor.shape]
    if shape and tensor.shape[0] < 0:
        shape[0] = rows
    if tensor.dtype == "string":
        return np.full(shape, "a", object)
    kind = np.dtype(tensor.dtype)
    if kind.kind == "f":
        return chance.standard_normal(shape).astype(kind)
    return chance.integers(0, 2, shape).astype(kind)


def _samples(job: Job, inputs: Sequence[Tensor]) -> Iterator[tuple[str, list[Array]]]:
    """Arrays as they are stored, then those that other files were made."""
    for sample in job.samples:
        yield Path(sample).name, _arrays(Path(sample), inputs)
    if job.details.get("examples"):
        found = stored_examples(Path(job.details["examples"]))
        for name, example in zip(job.details["names"], found, strict=True):
            values = zip(example.values(), inputs, strict=True)
            yield Path(name).name, [_as(value, tensor) for value, tensor in values]


def _arrays(path: Path, inputs: Sequence[Tensor]) -> list[Array]:
    """What an .npy or .npz holds, an array for each input."""
    try:
        stored = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise InvalidInput(f"The sample {path.name} cannot be read.", why=f"{error}.") from None
    if isinstance(stored, np.ndarray):
        return [_as(stored, inputs[0])]
    missing = [tensor.name for tensor in inputs if tensor.name not in stored.files]
    if missing and len(inputs) != len(stored.files):
        raise InvalidInput(
            f"The sample {path.name} has no array {missing[0]!r}.",
            hint=f"The model takes {', '.join(tensor.name for tensor in inputs)}.",
        )
    names = [tensor.name for tensor in inputs] if not missing else stored.files
    return [_as(stored[name], tensor) for name, tensor in zip(names, inputs, strict=True)]


def _as(value: Array, tensor: Tensor) -> Array:
    """`value` in the type of the input, with a batch axis where it lacks one."""
    if value.ndim == len(tensor.shape) - 1:
        value = value[None]
    return value.astype(object if tensor.dtype == "string" else tensor.dtype)


def _numbered(stored: Any, prefix: str) -> list[Array]:
    count = sum(name.startswith(prefix) for name in stored.files)
    return [stored[f"{prefix}{at}"] for at in range(count)]
