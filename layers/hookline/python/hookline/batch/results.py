r"""The results CSV: the path of the example, its output and, when any row failed, its error.

RFC 4180 in UTF-8, lines end with CRLF, no header row: the seed's contract is that the first column
is the path and the second the output. A text cell that a spreadsheet would execute gets a leading
apostrophe; a number, or a list of numbers as the raw formatter writes it, is never touched.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256

from hookline.batch.parts import Row

_EXECUTED = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_NUMBER = re.compile(
    r"[+-]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?|inf|nan|Infinity|NaN)", re.ASCII
)
_BETWEEN_NUMBERS = re.compile(r", ?|\t|\r?\n")

FLUSH_CHARS = 256 * 1024


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


def lines(rows: Iterable[Row], *, has_errors: bool) -> Iterator[bytes]:
    """The bytes of the CSV, piece by piece. `has_errors` adds the third column to every row."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    for row in rows:
        cells = [cell(row.name), cell(row.output or "")]
        if has_errors:
            cells.append(f"{row.error.code}: {row.error.message}" if row.error else "")
        writer.writerow(cells)
        if text.tell() >= FLUSH_CHARS:
            yield _drained(text)
    yield _drained(text)


def _drained(text: io.StringIO) -> bytes:
    data = text.getvalue().encode()
    text.seek(0)
    text.truncate()
    return data


class Digest:
    """Passes bytes on to `write` and knows their SHA-256 and size."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._sha256 = sha256()
        self.size_bytes = 0

    def write(self, data: bytes) -> None:
        self._write(data)
        self._sha256.update(data)
        self.size_bytes += len(data)

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()
