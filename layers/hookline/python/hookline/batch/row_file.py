"""The rows of a shard while it is worked on: in memory while they are small, on disk beyond.

A row may have megabytes and a shard has up to thousands of them.
"""

from __future__ import annotations

import weakref
from array import array
from collections.abc import Iterable, Iterator
from tempfile import SpooledTemporaryFile
from typing import NamedTuple

from hookline.core.errors import Unavailable
from hookline.core.rows import Row, decoded, encoded

MEMORY_BYTES = 8 * 1024 * 1024
PIECE_BYTES = 1024 * 1024


class Counts(NamedTuple):
    """How many rows have an output, and how many have an error."""

    succeeded: int
    failed: int


def count(rows: Iterable[Row]) -> Counts:
    """Count the rows by what became of them."""
    total = failed = 0
    for row in rows:
        total, failed = total + 1, failed + (row.error is not None)
    return Counts(total - failed, failed)


class RowFile:
    """Rows as JSON lines, added at the end. Adding raises Unavailable when the disk is full.

    What it takes on the disk has no name, and is gone with the object or its process.
    """

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self._file = SpooledTemporaryFile(MEMORY_BYTES)  # noqa: SIM115 - it ends with this object
        weakref.finalize(self, self._file.close)
        self._ends = array("Q")  # where each row ends
        self._failed = 0
        self.extend(rows)

    def __len__(self) -> int:
        return len(self._ends)

    def __iter__(self) -> Iterator[Row]:
        """The rows, in order; none may be added meanwhile."""
        self._file.seek(0)
        return decoded(self._file)

    @property
    def counts(self) -> Counts:
        return Counts(len(self) - self._failed, self._failed)

    def append(self, row: Row) -> None:
        line = encoded([row])
        start = self.start_of(len(self))
        try:
            self._file.seek(start)
            self._file.write(line)
        except OSError as error:
            raise Unavailable(
                "The rows of a shard cannot be stored.",
                why=f"{error.strerror}.",
                hint="Make room in the folder for temporary files of this machine (TMPDIR).",
            ) from error
        self._ends.append(start + len(line))
        self._failed += row.error is not None

    def extend(self, rows: Iterable[Row]) -> None:
        for row in rows:
            self.append(row)

    def start_of(self, number: int) -> int:
        """Where row `number`, from 0, begins, in bytes."""
        return self._ends[number - 1] if number else 0

    def pieces(self, first: int = 0) -> Iterator[bytes]:
        """The lines from row `first` on; none may be added meanwhile."""
        at, end = self.start_of(first), self.start_of(len(self))
        while at < end:
            self._file.seek(at)
            piece = self._file.read(min(PIECE_BYTES, end - at))
            at += len(piece)
            yield piece
