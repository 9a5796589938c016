"""Turns files into examples as a stream would, or makes some up at random."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from hookline.convert.examples import Example, store_examples
from hookline.convert.job import Job, Result
from hookline.core.errors import HooklineError, InvalidInput
from hookline.core.names import mime_type_of
from hookline.runtime.items import Item
from hookline.runtime.model import Model
from hookline.runtime.preprocessors import by_mime_type
from hookline.runtime.spec import PipelineSpec

FILE = "examples.npz"
RANDOM_EXAMPLES, SEED = 64, 2016
_SIZES = (8, 1, 64, 224)  # tried for dimensions that the model leaves open


def run(job: Job) -> Result:
    """Store the examples of `details["files"]` (name → path); at random without any.

    A file that cannot be read is counted; with `details["is_strict"]` it is raised as InvalidInput.
    """
    model = Model.load(msgspec.convert(job.details["pipeline"], PipelineSpec))
    files: dict[str, str] = job.details["files"]
    names, examples, errors = [], [], []
    for name, path in files.items():
        try:
            examples.append(example_of(model, name, Path(path).read_bytes()))
            names.append(name)
        except HooklineError as error:
            if job.details.get("is_strict"):
                raise _refused(name, error) from error
            errors.append(f"{name}: {error}")
    if files and not examples:
        raise InvalidInput(
            f"Not one of the {len(files)} files can be read as input of the model.",
            why=errors[0],
            hint="Give files like those that streams of the model are sent.",
        )
    if not files:
        examples = list(_random(model))
    store_examples(examples, set(model.batch_axis.inputs), Path(job.folder) / FILE)
    skipped = {"skipped": len(errors), "first_error": errors[0] if errors else ""}
    return Result(file=FILE, report={"names": names, **skipped})


def _refused(name: str, error: HooklineError) -> InvalidInput:
    return InvalidInput(
        f"The model does not take the sample {Path(name).name}.",
        why=f"{error.what} {error.why}".strip(),
        hint=error.hint or "Give a file like those that streams of the model are sent.",
    )


def example_of(model: Model, name: str, body: bytes) -> Example:
    """What the model takes for a file. Raise a HooklineError for one that it does not take."""
    return model.fit(by_mime_type.preprocess(Item(body, mime_type_of(name), name), model))


def _random(model: Model) -> Iterator[Example]:
    chance = np.random.default_rng(SEED)
    for size in _SIZES:
        first = _one(model, size, chance)
        try:
            model.predict_batch([first])
        except HooklineError:
            if size == _SIZES[-1]:
                raise
            continue
        yield first
        for _ in range(RANDOM_EXAMPLES - 1):
            yield _one(model, size, chance)
        return


def _one(model: Model, size: int, chance: np.random.Generator) -> Example:
    found: Example = {}
    for name, slot in model.slots.items():
        shape = [size if each < 0 else each for each in slot.shape]
        values: Any = chance.standard_normal(shape)
        if slot.dtype.kind in "iub":
            values = chance.integers(0, 2, shape)
        found[name] = np.full(shape, "a") if slot.dtype.kind == "O" else values
        found[name] = found[name].astype(slot.dtype)
    return found
