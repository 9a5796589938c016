"""The element types of the Open Inference Protocol, in JSON and in bytes.

Bytes are little-endian and row-major without padding; an element of BYTES is its length in four
bytes and then itself. FP16 and BF16 have no JSON form. BF16 is read into float32, which holds it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

import msgspec
import numpy as np

from hookline.core.errors import InvalidInput, InvalidOutput
from hookline.runtime.backends.tensors import STRING
from hookline.runtime.fitting import Array, Slot
from hookline.runtime.rendering import array_json

BYTES, BF16, FP16 = "BYTES", "BF16", "FP16"
_NAMES = {
    "bool": "BOOL",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "float16": FP16,
    "float32": "FP32",
    "float64": "FP64",
    STRING: BYTES,
}
_DTYPES = {name: np.dtype(dtype) for dtype, name in _NAMES.items() if dtype != STRING}
KNOWN = (*_DTYPES, BF16, BYTES)
_BINARY_ONLY = (FP16, BF16)
_LENGTH = struct.Struct("<I")
_MAX_RANK = 32


def datatype_of(dtype: str) -> str:
    """The protocol's name for a TensorSpec's dtype."""
    return _NAMES[dtype]


def checked_shape(name: str, datatype: str, shape: Sequence[int]) -> tuple[int, ...]:
    """`shape` as a tuple. Raise InvalidInput for it, or for a datatype that does not exist."""
    if datatype not in KNOWN:
        raise InvalidInput(
            f"The input {name} has the datatype {datatype[:40]!r}.",
            why=f"There are {', '.join(KNOWN)}.",
        )
    if min(shape, default=0) < 0 or len(shape) > _MAX_RANK:
        raise InvalidInput(f"The input {name} has the shape {list(shape)[:_MAX_RANK]}.")
    return tuple(shape)


def from_json(name: str, datatype: str, shape: tuple[int, ...], data: Any) -> Array:
    """The tensor of nested or flat lists. Raise InvalidInput for what is not one."""
    if datatype in _BINARY_ONLY:
        raise InvalidInput(
            f"The input {name} is {datatype}, which has no JSON form.",
            hint="Send it as binary data: binary_data_size, and the bytes after the JSON.",
        )
    if datatype == BYTES:
        return _filled(name, shape, list(_leaves(data)))
    try:
        array = np.asarray(data)
        if datatype == "UINT64" and array.dtype.kind == "f":  # numpy's choice for 1 beside 2**63
            array = np.asarray(data, np.uint64) if _all_whole(data) else array
    except (ValueError, OverflowError) as error:
        raise InvalidInput(
            f"The data of the input {name} is not a rectangular array.", why=f"{error}."
        ) from error
    if array.size != prod(shape) or array.shape not in (shape, (array.size,)):
        raise _misshapen(name, shape, f"its data has the shape {list(array.shape)}")
    if not array.size:
        return np.empty(shape, _DTYPES[datatype])
    return Slot(name, _DTYPES[datatype], shape).cast(array).reshape(shape)


def from_bytes(name: str, datatype: str, shape: tuple[int, ...], data: memoryview) -> Array:
    """The tensor in `data`, which is all of it. Raise InvalidInput for another size."""
    if datatype == BYTES:
        return _filled(name, shape, list(_elements(name, data)))
    dtype = np.dtype("<u2") if datatype == BF16 else _DTYPES[datatype].newbyteorder("<")
    if len(data) != prod(shape) * dtype.itemsize:
        raise _misshapen(name, shape, f"{len(data)} bytes of {datatype} came")
    flat: Array = np.frombuffer(data, np.uint8 if datatype == "BOOL" else dtype)
    if datatype == "BOOL":
        flat = flat.astype(bool)
    elif datatype == BF16:
        flat = (flat.astype(np.uint32) << 16).view(np.float32)
    return np.require(flat, requirements="A").reshape(shape)


def size_bytes(datatype: str) -> int:
    """Of an element; 0 for BYTES, which have no fixed one."""
    return 0 if datatype == BYTES else 2 if datatype == BF16 else _DTYPES[datatype].itemsize


def to_bytes(array: Array) -> bytes:
    """The elements of an output."""
    if array.dtype.kind not in "OUS":
        return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
    pieces = []
    for value in array.flat:
        element = as_bytes(value)
        pieces += [_LENGTH.pack(len(element)), element]
    return b"".join(pieces)


def to_json(name: str, array: Array) -> Any:
    """The elements of an output as msgspec writes them, flat. Raise InvalidOutput for FP16."""
    if array.dtype == np.float16:
        raise InvalidOutput(
            f"The output {name} is FP16, which has no JSON form.",
            hint='Ask for it with "binary_data": true, or for all with "binary_data_output": true.',
        )
    if array.dtype.kind in "OUS":
        return [_text(name, value) for value in array.flat]
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return msgspec.Raw(array_json(array.reshape(-1)).encode())
    return array.reshape(-1).tolist()


def datatype_of_array(array: Array) -> str:
    """The protocol's name for the elements of an output. Raise InvalidOutput without one."""
    if array.dtype.kind in "OUS":
        return BYTES
    if array.dtype.name not in _NAMES:
        raise InvalidOutput(f"The output holds {array.dtype}, which the protocol cannot say.")
    return _NAMES[array.dtype.name]


def as_bytes(value: Any) -> bytes:
    """An element of BYTES: text is UTF-8."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


def _text(name: str, value: Any) -> str:
    if not isinstance(value, bytes):
        return str(value)
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise InvalidOutput(
            f"The output {name} is not text, so it has no JSON form.",
            hint='Ask for it with "binary_data": true.',
        ) from error


def _filled(name: str, shape: tuple[int, ...], values: list[Any]) -> Array:
    if len(values) != prod(shape):
        raise _misshapen(name, shape, f"it has {len(values)} elements")
    flat: Array = np.empty(len(values), object)
    flat[:] = values
    return flat.reshape(shape)


def _leaves(data: Any) -> Iterator[Any]:
    """What nested lists hold, without recursion: callers choose the depth."""
    waiting = [iter([data])]
    while waiting:
        for value in waiting[-1]:
            if isinstance(value, list):
                waiting.append(iter(value))
                break
            yield value
        else:
            waiting.pop()


def _all_whole(data: Any) -> bool:
    return all(type(value) is int for value in _leaves(data))


def _elements(name: str, data: memoryview) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        end = at + _LENGTH.size
        if end > len(data):
            raise _cut(name)
        (length,) = _LENGTH.unpack(data[at:end])
        at = end + length
        if at > len(data):
            raise _cut(name)
        yield bytes(data[end:at])


def _cut(name: str) -> InvalidInput:
    return InvalidInput(
        f"The bytes of the input {name} end within an element.",
        why="Each element is its length as four bytes, little-endian, and then itself.",
    )


def _misshapen(name: str, shape: tuple[int, ...], found: str) -> InvalidInput:
    return InvalidInput(f"The input {name} has the shape {list(shape)}, but {found}.")
