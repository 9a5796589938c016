"""How a replica and the process that holds its NeuronCores talk: a line of JSON, then arrays.

Both ends run it, one of them on Python 3.10 with an older numpy. Only numbers cross, never code.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
MAX_HEADER_BYTES = 1 << 20
MAX_ARRAY_BYTES = 1 << 31
_LENGTH = struct.Struct(">I")


class Closed(Exception):
    """The other side has ended, says nothing in time, or does not speak this language."""


def send(sock: socket.socket, told: Mapping[str, Any], arrays: Sequence[Array] = ()) -> None:
    """Send `told` and the arrays. Raise Closed where nobody takes them."""
    whole = [np.ascontiguousarray(array) for array in arrays]
    shapes = [{"dtype": array.dtype.str, "shape": array.shape} for array in whole]
    header = json.dumps({**told, "arrays": shapes}).encode()
    try:
        sock.sendall(_LENGTH.pack(len(header)) + header)
        for array in whole:
            sock.sendall(array.tobytes() if array.ndim == 0 else array.data.cast("B"))
    except OSError as error:
        raise Closed(f"It took no data: {error}.") from error


def receive(
    sock: socket.socket, timeout_s: float | None = None
) -> tuple[dict[str, Any], list[Array]]:
    """What the other side told, and the arrays it sent. Raise Closed when it does not."""
    sock.settimeout(timeout_s)
    try:
        (size_bytes,) = _LENGTH.unpack(_exactly(sock, _LENGTH.size))
        if size_bytes > MAX_HEADER_BYTES:
            raise Closed(f"It announced a header of {size_bytes} bytes.")
        told = json.loads(_exactly(sock, size_bytes))
        arrays = [_array(sock, each) for each in told["arrays"]]
    except TimeoutError:
        raise Closed("It did not answer in time.") from None
    except OSError as error:
        raise Closed(f"Its socket broke: {error}.") from error
    except (KeyError, TypeError, ValueError) as error:
        raise Closed("It sent a malformed message.") from error
    return told, arrays


def _array(sock: socket.socket, described: Mapping[str, Any]) -> Array:
    dtype, shape = np.dtype(described["dtype"]), tuple(int(n) for n in described["shape"])
    size_bytes = dtype.itemsize * int(np.prod(shape, dtype=np.int64))
    if dtype.hasobject or not 0 <= size_bytes <= MAX_ARRAY_BYTES:
        raise Closed(f"It announced an array of {size_bytes} bytes.")
    return np.frombuffer(_exactly(sock, size_bytes), dtype).reshape(shape)


def _exactly(sock: socket.socket, size_bytes: int) -> bytearray:
    data = bytearray(size_bytes)
    rest = memoryview(data)
    while rest:
        count = sock.recv_into(rest)
        if not count:
            raise Closed("It ended.")
        rest = rest[count:]
    return data
