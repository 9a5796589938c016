r"""Rows as text: the path of the example, its output and, when any row failed, its error.

RFC 4180 in UTF-8, lines end with CRLF, no header row: the seed's contract is that the first column
is the path and the second the output. A text cell that a spreadsheet would execute gets a leading
apostrophe; a number, or a list of numbers as the raw formatter writes it, is never touched.
Further columns follow where the job asked for them. As JSON lines, a row is an object with the same
in its members, and nothing is touched: no spreadsheet opens them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple, Self

import msgspec

from hookline.core.names import record_type_of
from hookline.core.rows import Row

_EXECUTED = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_NUMBER = re.compile(
    r"[+-]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?|inf|nan|Infinity|NaN)", re.ASCII
)
_BETWEEN_NUMBERS = re.compile(r", ?|\t|\r?\n")

FLUSH_BYTES = 256 * 1024


class Columns(NamedTuple):
    """What follows the path and the output, in this order."""

    error: bool = False
    timing: bool = False
    input: bool = False

    @classmethod
    def of(cls, include: Collection[str], *, joins_input: bool, has_errors: bool) -> Self:
        """What a job includes; errors also where some row failed."""
        return cls(has_errors or "error" in include, "timing" in include, joins_input)

    @property
    def names(self) -> list[str]:
        """Of every column, where columns have names."""
        chosen = zip(("error", "ms", "input"), self, strict=True)
        return ["path", "output", *(name for name, is_chosen in chosen if is_chosen)]


def cell(text: str) -> str:
    """`text` as it may stand in a cell of a spreadsheet."""
    if text.startswith(_EXECUTED) and not _is_numeric(text):
        return "'" + text
    return text


def _is_numeric(text: str) -> bool:
    """A number or a list of them; in linear time and no memory, however long the output is."""
    start = 0
    for separator in _BETWEEN_NUMBERS.finditer(text):
        if not _NUMBER.fullmatch(text, start, separator.start()):
            return False
        start = separator.end()
    return _NUMBER.fullmatch(text, start) is not None


def json_lines(rows: Iterable[Row], columns: Columns) -> Iterator[bytes]:
    """An object a row, piece by piece; output that the pipeline calls JSON is JSON here."""
    pieces = bytearray()
    for row in rows:
        members: dict[str, object] = {
            "path": row.name,
            "output": _value(row.output, is_json=row.is_json),
        }
        if columns.error:
            members["error"] = row.error
        if columns.timing:
            members["ms"] = row.took_ms
        if columns.input:
            members["input"] = _value(row.input, is_json=_is_of_json(row))
        pieces += msgspec.json.encode(members) + b"\n"
        if len(pieces) >= FLUSH_BYTES:
            yield bytes(pieces)
            pieces.clear()
    yield bytes(pieces)


def _is_of_json(row: Row) -> bool:
    return record_type_of(row.name.rpartition("#")[0]) == "application/json"


def _value(text: str | None, *, is_json: bool) -> object:
    """The value that JSON text stands for; other text as it is."""
    if text is None or not is_json:
        return text
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text


def csv_lines(rows: Iterable[Row], columns: Columns) -> Iterator[bytes]:
    """The bytes of the CSV, piece by piece."""
    pieces = bytearray()
    for row in rows:
        cells = [cell(row.name), cell(row.output or "")]
        if columns.error:
            cells.append(f"{row.error.code}: {row.error.message}" if row.error else "")
        if columns.timing:
            cells.append(f"{row.took_ms:g}")
        if columns.input:
            cells.append(cell(row.input or ""))
        pieces += (",".join(map(_quoted, cells)) + "\r\n").encode()
        if len(pieces) >= FLUSH_BYTES:
            yield bytes(pieces)
            pieces.clear()
    yield bytes(pieces)


def _quoted(text: str) -> str:
    """As the csv module would; that one looks at each character of megabytes by itself."""
    if '"' in text:
        return '"' + text.replace('"', '""') + '"'
    return f'"{text}"' if "," in text or "\n" in text or "\r" in text else text
