"""Walks a protobuf file of any size without trusting it: a window in memory, never the whole.

Only what is asked for is read; everything else is skipped by seeking. A length is believed only if
the message around it has that many bytes left.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

WINDOW_BYTES = 256 * 1024
MAX_TEXT_BYTES = 64 * 1024 * 1024  # of one file, all its texts together
MAX_FIELDS = 5_000_000  # some seconds of work
MAX_VARINT_BYTES = 10  # 64 bits, 7 in each byte (protobuf encoding)

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_FIXED_BYTES = {FIXED64: 8, FIXED32: 4}
_MORE = 0x80  # the bit of a varint's byte that says another follows


class Malformed(ValueError):
    """The bytes are not what protobuf allows, or more than anyone needs."""


@dataclass(frozen=True, slots=True)
class Span:
    """Where a message lies in the file: from byte `start` up to `end`."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Field:
    """One field. `value` is its number if it is a varint, `span` its bytes if it is a message."""

    number: int
    wire_type: int
    value: int
    span: Span


class Reader:
    """Reads messages of a seekable file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._window, self._window_start = b"", 0
        self._fields, self._text_bytes = 0, 0

    def whole(self) -> Span:
        """The message that is the file."""
        return Span(0, self._file.seek(0, os.SEEK_END))

    def fields(self, message: Span) -> Iterator[Field]:
        """The fields of `message` in their order. Raise Malformed at the first that cannot be."""
        at = message.start
        while at < message.end:
            self._fields += 1
            if self._fields > MAX_FIELDS:
                raise Malformed(f"It has more than {MAX_FIELDS} fields.")
            field = self._field(at, message.end)
            yield field
            at = field.span.end

    def messages(self, message: Span, number: int) -> Iterator[Span]:
        """The bytes of every field `number` of `message`."""
        for field in self.fields(message):
            if field.number == number:
                yield checked_span(field)

    def text(self, message: Span, number: int) -> str:
        """The text in field `number` of `message`, "" if it has none."""
        text = ""
        for span in self.messages(message, number):
            text = self._text(span)
        return text

    def integer(self, message: Span, number: int, default: int = 0) -> int:
        """The int64 in field `number` of `message`."""
        value = default
        for field in self.fields(message):
            if field.number == number:
                value = _signed(_checked_varint(field))
        return value

    def _text(self, span: Span) -> str:
        size = span.end - span.start
        self._text_bytes += size
        if self._text_bytes > MAX_TEXT_BYTES:
            raise Malformed(f"Its names and remarks have more than {MAX_TEXT_BYTES} bytes.")
        try:
            return self._bytes(span.start, size).decode()
        except UnicodeDecodeError:
            raise Malformed(f"The text at byte {span.start} is not UTF-8.") from None

    def _field(self, at: int, end: int) -> Field:
        tag, start = self._varint(at, end)
        number, wire_type = tag >> 3, tag & 7
        if number == 0:
            raise Malformed(f"At byte {at} a field 0 starts, which protobuf does not have.")
        if wire_type == VARINT:
            value, after = self._varint(start, end)
            return Field(number, wire_type, value, Span(start, after))
        if wire_type == BYTES:
            size, start = self._varint(start, end)
        elif wire_type in _FIXED_BYTES:
            size = _FIXED_BYTES[wire_type]
        else:
            raise Malformed(f"At byte {at} a field of the unknown kind {wire_type} starts.")
        if size > end - start:
            raise Malformed(
                f"At byte {at} a field of {size} bytes starts, but only {end - start} are left."
            )
        return Field(number, wire_type, 0, Span(start, start + size))

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        """The number at `at`, and the position after it."""
        value = 0
        for index, byte in enumerate(self._bytes(at, min(MAX_VARINT_BYTES, end - at))):
            value |= (byte & ~_MORE) << (7 * index)
            if byte < _MORE:
                return value & 0xFFFF_FFFF_FFFF_FFFF, at + index + 1
        raise Malformed(f"The number at byte {at} does not end.")

    def _bytes(self, at: int, size: int) -> bytes:
        offset = at - self._window_start
        if offset < 0 or offset + size > len(self._window):
            self._file.seek(at)
            self._window = self._file.read(max(size, WINDOW_BYTES))
            self._window_start, offset = at, 0
            if len(self._window) < size:
                raise Malformed("The file ended while it was read.")
        return self._window[offset : offset + size]


def checked_span(field: Field) -> Span:
    """The bytes of a field that is to be text or a message."""
    if field.wire_type != BYTES:
        raise Malformed(f"Field {field.number} at byte {field.span.start} is not a message.")
    return field.span


def _checked_varint(field: Field) -> int:
    if field.wire_type != VARINT:
        raise Malformed(f"Field {field.number} at byte {field.span.start} is not a number.")
    return field.value


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value
