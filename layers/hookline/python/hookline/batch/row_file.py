"""The rows of a shard while it is worked on: in memory while they are small, on disk beyond.

A row may have megabytes and a shard has up to thousands of them.
"""

from __future__ import annotations

import os
import weakref
from array import array
from collections.abc import Iterable, Iterator
from tempfile import TemporaryFile
from typing import BinaryIO, NamedTuple

import msgspec

from hookline.core.errors import Unavailable
from hookline.core.rows import Row, encoded

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
    """Rows as JSON lines, added at the end. Unavailable is raised when the disk is full or broken.

    A row that could not be added is not there, and those before it are as they were. What it takes
    on the disk has no name, and is gone with the object or its process.
    """

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self._memory = bytearray()
        self._disk: BinaryIO | None = None
        self._ends = array("Q")  # where each row ends
        self._failed = 0
        self.extend(rows)

    def __len__(self) -> int:
        return len(self._ends)

    def __iter__(self) -> Iterator[Row]:
        for number in range(len(self)):
            line = b"".join(self._between(self.start_of(number), self.start_of(number + 1)))
            yield msgspec.json.decode(line, type=Row)

    @property
    def counts(self) -> Counts:
        return Counts(len(self) - self._failed, self._failed)

    def append(self, row: Row) -> None:
        line, start = encoded([row]), self.start_of(len(self))
        try:
            self._write(start, line)
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
        """The lines of the rows that are there now, from row `first` on."""
        return self._between(self.start_of(first), self.start_of(len(self)))

    def _between(self, at: int, end: int) -> Iterator[bytes]:
        while at < end:
            piece = self._read(at, min(PIECE_BYTES, end - at))
            at += len(piece)
            yield piece

    def _read(self, at: int, size_bytes: int) -> bytes:
        if self._disk is None:
            return bytes(self._memory[at : at + size_bytes])
        try:
            if data := os.pread(self._disk.fileno(), size_bytes, at):
                return data
            why = "The file is too short."
        except OSError as error:
            why = f"{error.strerror}."
        raise Unavailable("The rows of a shard cannot be read back.", why=why)

    def _write(self, at: int, data: bytes) -> None:
        if self._disk is None and at + len(data) > MEMORY_BYTES:
            self._go_to_disk(at)
        if self._disk is None:
            self._memory[at:] = data
        else:
            _write_all(self._disk, at, data)

    def _go_to_disk(self, size_bytes: int) -> None:
        disk = TemporaryFile(buffering=0)  # noqa: SIM115 - it ends with this object
        weakref.finalize(self, disk.close)
        _write_all(disk, 0, self._memory[:size_bytes])
        self._disk, self._memory = disk, bytearray()


def _write_all(file: BinaryIO, at: int, data: bytes | bytearray) -> None:
    left = memoryview(data)
    while left:
        written = os.pwrite(file.fileno(), left, at)
        left, at = left[written:], at + written
