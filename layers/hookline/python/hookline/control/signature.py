"""Joins what a model's file says with what its importer says, and refuses what cannot fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from pydantic import ValidationError

from hookline.core.errors import InvalidInput, InvalidModel
from hookline.core.metadata import labels_in, preparation_in
from hookline.core.models import Preparation, TensorSpec
from hookline.core.onnxfile import OnnxModel
from hookline.core.requests import NewModel, PreparationFields

IMAGE_RANK = 4
IMAGE_CHANNELS = (1, 3, 4)


def labels(body: NewModel, file: OnnxModel) -> tuple[str, ...]:
    """One label per class. Raise InvalidInput when no output has that many classes."""
    given = body.labels if body.labels is not None else labels_in(file.metadata)
    classes = {output.shape[-1] for output in file.outputs if output.shape}
    is_known = classes and all(output.shape for output in file.outputs) and -1 not in classes
    if given and is_known and len(given) not in classes:
        raise InvalidInput(
            f"There are {len(given)} labels for {_listed(sorted(classes))} classes.",
            why=f"The outputs are {_shapes(file.outputs)}.",
            hint="Give one label per class, in the order of the classes.",
        )
    return given


def inputs(body: NewModel, file: OnnxModel) -> tuple[TensorSpec, ...]:
    """The file's inputs; `input_shape` fixes variable dimensions of the first."""
    if body.input_shape is None:
        return file.inputs
    first, *others = file.inputs
    wanted = body.input_shape
    if len(wanted) == len(first.shape) - 1:
        wanted = (first.shape[0], *wanted)
    is_fit = len(wanted) == len(first.shape) and all(
        size in (-1, want) and (want > 0 or want == size)
        for size, want in zip(first.shape, wanted, strict=True)
    )
    if not is_fit:
        raise InvalidModel(
            f"The input {first.name} cannot have the shape {list(body.input_shape)}.",
            why=f"The model's own shape is {list(first.shape)}, where -1 may be chosen.",
        )
    return (first.model_copy(update={"shape": wanted}), *others)


def preparation(body: NewModel, file: OnnxModel, found: Sequence[TensorSpec]) -> Preparation:
    """How canned image input is prepared. Raise InvalidInput when it does not fit the input."""
    fields = body.preparation or _file_preparation(file.metadata)
    for name in ("mean", "std"):
        _check_channels(name, getattr(fields, name), _channels(fields.layout, found))
    if not fields.scale or 0 in fields.std:
        raise InvalidInput("A scale or std of 0 would leave nothing of the image.")
    return Preparation(**fields.model_dump())


def _file_preparation(metadata: Mapping[str, str]) -> PreparationFields:
    try:
        return PreparationFields.model_validate(preparation_in(metadata))
    except ValidationError as error:
        raise InvalidModel(
            "The model's metadata on preparing images cannot be read.",
            why=_first(error),
            hint="mean and std are lists of numbers, scale a number, layout NCHW or NHWC.",
        ) from None


def _first(error: ValidationError) -> str:
    fault = error.errors()[0]
    return f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}."


def _check_channels(name: str, values: Sequence[float], channels: int | None) -> None:
    if not all(isfinite(value) for value in values):
        raise InvalidInput(f"The {name} has a value that is not a number.")
    if values and channels is not None and len(values) != channels:
        raise InvalidInput(
            f"The {name} has {len(values)} values for {channels} channels.",
            hint="Give one value per channel, in the model's order.",
        )


def _channels(layout: str, found: Sequence[TensorSpec]) -> int | None:
    """How many channels the image input has, where its shape tells."""
    shape = next((tensor.shape for tensor in found if len(tensor.shape) == IMAGE_RANK), None)
    if shape is None:
        return None
    by_layout = {"NCHW": shape[1], "NHWC": shape[3]}
    if layout:
        size = by_layout[layout]
        return size if size > 0 else None
    return next((size for size in by_layout.values() if size in IMAGE_CHANNELS), None)


def _shapes(tensors: Sequence[TensorSpec]) -> str:
    return ", ".join(f"{tensor.name} {list(tensor.shape)}" for tensor in tensors)


def _listed(values: Sequence[Any]) -> str:
    return " or ".join(str(value) for value in values)
