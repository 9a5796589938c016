"""Between the tensors of a request, which hold rows, and the items that a pipeline takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, cast

import numpy as np

from hookline.core.errors import BadRequest, InvalidInput
from hookline.core.names import OCTET_STREAM
from hookline.runtime.backends.tensors import STRING, TensorSpec
from hookline.runtime.fitting import Array
from hookline.runtime.items import TENSORS, Answer, Item, TensorAnswer, TensorItem
from hookline.runtime.signature import BODIES, Signature
from hookline.runtime.v2.datatypes import (
    BF16,
    BYTES,
    as_bytes,
    datatype_of,
    from_bytes,
    size_bytes,
)
from hookline.runtime.v2.question import Question, Tensor

_FILE_SHAPES = (1, 2)  # ranks: [N], or [N, 1]


def items_of(signature: Signature, question: Question) -> list[Item]:
    """A row each. Raise InvalidInput for tensors that the stream does not take."""
    given = question.inputs
    first = signature.inputs[0]
    is_file = signature.takes_files or (
        len(given) == 1 and given[0].datatype == BYTES and first.dtype != STRING
    )
    if is_file:
        return _files(signature, given)
    tensors = _checked(signature, given)
    count = _count(signature, tensors)
    body = question.body
    if count is None:
        return [TensorItem(body, TENSORS, example=_one(signature, tensors))]
    return [
        TensorItem(body, TENSORS, example={name: array[at, ...] for name, array in tensors.items()})
        for at in range(count)
    ]


def raw_item(signature: Signature, body: bytes, mime_type: str) -> Item:
    """The only row of a request that is nothing but its input: a tensor's bytes, or a file.

    It is a tensor when it is sent as bytes without a type of their own and has a tensor's size.
    """
    kind = mime_type or OCTET_STREAM
    spec = signature.inputs[0]
    if not signature.takes_files and len(signature.inputs) > 1:
        raise BadRequest(
            f"The model takes {len(signature.inputs)} inputs, and a raw request has one.",
            hint="Send JSON, or JSON with binary tensors behind it.",
        )
    if not signature.takes_files and kind == OCTET_STREAM:
        if spec.dtype == STRING:
            return _example(signature, spec, _only_string(spec, body), body)
        shape = _shape_of(spec, len(body))
        if shape is not None:
            values = from_bytes(spec.name, datatype_of(spec.dtype), shape, memoryview(body))
            return _example(signature, spec, values, body)
    return _file(signature, body, kind)


def outputs_of(signature: Signature, answers: Sequence[Answer]) -> dict[str, Array]:
    """The tensors of all rows, in the order of the signature's outputs."""
    if signature.gives_bodies:
        bodies: Array = np.empty((len(answers), 1), object)
        bodies[:, 0] = [answer.body for answer in answers]
        return {BODIES.name: bodies}
    rows = [cast("TensorAnswer", answer).tensors for answer in answers]
    return {spec.name: _stacked(signature, spec.name, rows) for spec in signature.outputs}


def _stacked(signature: Signature, name: str, rows: Sequence[Mapping[str, Any]]) -> Array:
    arrays = [np.asarray(row[name]) for row in rows]
    if name not in signature.row_wise:
        return arrays[0]
    if len({array.shape for array in arrays}) > 1:
        shapes = ", ".join(sorted({str(list(array.shape)) for array in arrays}))
        raise InvalidInput(
            f"The rows of the output {name} have different shapes: {shapes}.",
            hint="Send these rows as requests of their own.",
        )
    return arrays[0][None] if len(arrays) == 1 else np.stack(arrays)


def _files(signature: Signature, given: Sequence[Tensor]) -> list[Item]:
    only = given[0] if len(given) == 1 else None
    name = signature.inputs[0].name
    if only is None or only.name != name or only.datatype != BYTES:
        raise InvalidInput(
            f"This stream takes one input, {name}, of BYTES: a file in each element.",
            why=f"The request has {', '.join(f'{one.name} ({one.datatype})' for one in given)}.",
        )
    shape = only.values.shape
    if len(shape) not in _FILE_SHAPES or shape[1:] not in ((), (1,)) or not only.values.size:
        raise InvalidInput(
            f"The input {name} has the shape {list(shape)}.", hint="Files are [N] or [N, 1]."
        )
    kind = only.mime_type or OCTET_STREAM
    return [_file(signature, as_bytes(value), kind) for value in only.values.flat]


def _file(signature: Signature, body: bytes, mime_type: str) -> Item:
    if signature.gives_bodies:
        return Item(body, mime_type)
    return TensorItem(body, mime_type)


def _checked(signature: Signature, given: Sequence[Tensor]) -> dict[str, Array]:
    """The arrays in the model's order, each of its type and shape."""
    by_name = {tensor.name: tensor for tensor in given}
    wanted = {spec.name for spec in signature.inputs}
    if by_name.keys() != wanted or len(by_name) != len(given):
        names = ", ".join(tensor.name[:100] for tensor in given) or "nothing"
        raise InvalidInput(
            f"The request has the inputs {names}.",
            why=f"The model takes {', '.join(spec.name for spec in signature.inputs)}.",
        )
    return {spec.name: _fitting(spec, by_name[spec.name]) for spec in signature.inputs}


def _fitting(spec: TensorSpec, tensor: Tensor) -> Array:
    datatype = datatype_of(spec.dtype)
    if tensor.datatype != datatype and (tensor.datatype, datatype) != (BF16, "FP32"):
        raise InvalidInput(
            f"The input {spec.name} is {tensor.datatype}; the model takes {datatype}."
        )
    shape = tensor.values.shape
    fits = len(shape) == len(spec.shape) and all(
        want in (-1, size) for want, size in zip(spec.shape, shape, strict=True)
    )
    if not fits:
        raise InvalidInput(
            f"The input {spec.name} has the shape {list(shape)}.",
            why=f"The model takes {list(spec.shape)}.",
            hint="A size of -1 may be any." if -1 in spec.shape else "",
        )
    return _as_strings(spec.name, tensor.values) if spec.dtype == STRING else tensor.values


def _as_strings(name: str, values: Array) -> Array:
    strings: Array = np.empty(values.shape, object)
    for at, value in enumerate(values.flat):
        if not isinstance(value, (str, bytes)):
            raise InvalidInput(f"The input {name} holds something that is not text.")
        strings.flat[at] = value if isinstance(value, str) else _decoded(name, value)
    return strings


def _decoded(name: str, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"An element of the input {name} is not UTF-8.", why=f"{error}."
        ) from error


def _count(signature: Signature, tensors: Mapping[str, Array]) -> int | None:
    """How many rows; None where some tensor has none, so that all of it is one example."""
    counts = {len(array) for name, array in tensors.items() if name in signature.row_wise}
    if len(counts) > 1:
        raise InvalidInput(f"The inputs hold different numbers of rows: {sorted(counts)}.")
    count = counts.pop() if counts else 1
    if not count:
        raise InvalidInput("The inputs have no rows.")
    if signature.has_rows:
        return count
    if count > 1:
        raise InvalidInput(
            f"The request has {count} rows.", why="This model takes one example at a time."
        )
    return None


def _one(signature: Signature, tensors: Mapping[str, Array]) -> dict[str, Array]:
    return {
        name: array[0, ...] if name in signature.row_wise else array
        for name, array in tensors.items()
    }


def _example(signature: Signature, spec: TensorSpec, values: Array, body: bytes) -> Item:
    example = {spec.name: values[0, ...] if spec.name in signature.row_wise else values}
    return TensorItem(body, TENSORS, example=example)


def _only_string(spec: TensorSpec, body: bytes) -> Array:
    shape = tuple(1 if size < 0 else size for size in spec.shape)
    if prod(shape) != 1:
        raise BadRequest(f"The model takes {list(spec.shape)} strings, and a raw request has one.")
    return np.full(shape, _decoded(spec.name, body), object)


def _shape_of(spec: TensorSpec, length: int) -> tuple[int, ...] | None:
    """The shape of one row that has `length` bytes, with at most one size left open."""
    known = size_bytes(datatype_of(spec.dtype))
    sizes = [1, *spec.shape[1:]] if spec.shape[:1] == (-1,) else list(spec.shape)
    for size in sizes:
        known *= max(size, 1) if size else 0
    if sizes.count(-1) > 1 or not known or length % known or not length:
        return None
    free = length // known
    if -1 not in sizes:
        return tuple(sizes) if free == 1 else None
    return tuple(free if size < 0 else size for size in sizes)
