"""Writes protobuf: tags, numbers, and fields of bytes."""

from __future__ import annotations

import struct

from hookline.core.protobuf import BYTES, FIXED32, VARINT

_LOW_BITS, _MORE = 0x7F, 0x80
_64_BITS = (1 << 64) - 1


def varint(value: int) -> bytes:
    """A number in groups of seven bits; negative ones as protobuf's int64."""
    value &= _64_BITS
    found = bytearray()
    while value > _LOW_BITS:
        found.append(value & _LOW_BITS | _MORE)
        value >>= 7
    found.append(value)
    return bytes(found)


def tag(number: int, wire_type: int = BYTES) -> bytes:
    """What begins field `number`."""
    return varint(number << 3 | wire_type)


def field(number: int, content: bytes | str) -> bytes:
    """A field of bytes, of text, or of a message."""
    data = content.encode() if isinstance(content, str) else content
    return tag(number) + varint(len(data)) + data


def integer(number: int, value: int) -> bytes:
    """A field of a whole number."""
    return tag(number, VARINT) + varint(value)


def real(number: int, value: float) -> bytes:
    """A field of a float."""
    return tag(number, FIXED32) + struct.pack("<f", value)
