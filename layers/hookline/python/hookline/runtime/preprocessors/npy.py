"""application/x-npy: one numpy array, never a pickled one."""

from __future__ import annotations

import io
from math import prod
from tokenize import TokenError
from typing import Any

import numpy as np

from hookline.core.errors import InvalidInput
from hookline.runtime.fitting import Array

_BROKEN = (
    ValueError,
    TypeError,
    KeyError,
    EOFError,
    OSError,
    SyntaxError,
    RecursionError,
    TokenError,
)
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def preprocess(input: bytes, model: Any) -> Array:  # noqa: A002, ARG001 - the seed's signature
    """The array in the body, for the model's first input."""
    file = io.BytesIO(input)
    try:
        _check_header(file, len(input))
        array: Array = np.load(file, allow_pickle=False)
    except _BROKEN as error:
        raise InvalidInput("The body is not a .npy array.", why=f"{error}.") from error
    return array


def _check_header(file: io.BytesIO, size_bytes: int) -> None:
    """Compare the announced size to the body's before anything is allocated."""
    shape, _, dtype = _HEADERS[np.lib.format.read_magic(file)](file)
    if dtype.hasobject:
        raise InvalidInput("The .npy array holds Python objects, which are never unpickled.")
    if min(shape, default=0) < 0 or prod(shape) * dtype.itemsize != size_bytes - file.tell():
        raise InvalidInput(
            f"The .npy header announces {list(shape)} of {dtype}.",
            why=f"The body has {size_bytes - file.tell()} bytes of data.",
        )
    file.seek(0)
