"""Parquet files: the rows of one as records, and results as one. Needs the extra `parquet`.

pyarrow is imported when the first such file is met: it costs 60 MB and half a second.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from typing import Any, BinaryIO, NamedTuple
from weakref import finalize

import msgspec

from hookline.core.errors import InvalidInput
from hookline.core.extras import check_parquet
from hookline.core.rows import Row

SUFFIX = ".parquet"
STEP_ROWS = 1024  # decoded at once; what is read ahead of them is BUFFER_BYTES a column
BUFFER_BYTES = 1 << 20
GROUP_ROWS = 16_384  # of results
GROUP_CHARS = 16 * 1024 * 1024


def is_parquet(name: str) -> bool:
    """Whether the name says that a file is a Parquet file."""
    return name.lower().endswith(SUFFIX)


class Extent(NamedTuple):
    """How many rows a file has, and about how many bytes each."""

    rows: int
    row_bytes: int


class Place(NamedTuple):
    """Rows of one version of a file: `rows` from `start` on, counted from 0."""

    name: str
    key: str
    etag: str
    start: int
    rows: int


@contextmanager
def _readable(name: str) -> Iterator[None]:
    """Raise InvalidInput for what pyarrow says of a file that is damaged, or no Parquet."""
    check_parquet()
    import pyarrow as pa  # noqa: PLC0415 - see above

    try:
        yield
    except (pa.ArrowException, ValueError, OSError) as error:
        line = str(error).partition("\n")[0]
        why = "".join(char if char.isprintable() else "?" for char in line)
        raise InvalidInput(f"The file {name} is no Parquet that can be read.", why=why) from error


def _opened(file: BinaryIO) -> Any:
    from pyarrow.parquet import ParquetFile  # noqa: PLC0415 - see above

    return ParquetFile(file, buffer_size=BUFFER_BYTES)


def extent(file: BinaryIO, name: str) -> Extent:
    """Read the footer. Raise InvalidInput for a file that is no Parquet."""
    with _readable(name):
        table = _opened(file).metadata
        groups = [table.row_group(index) for index in range(table.num_row_groups)]
        size_bytes = sum(group.total_byte_size for group in groups)
        return Extent(table.num_rows, max(1, size_bytes // max(1, table.num_rows)))


class Cursor:
    """Goes forward through the rows of an open file, from the row group of the first one on."""

    def __init__(self, file: BinaryIO, start: int) -> None:
        finalize(self, file.close)
        self._table = _opened(file)
        of = self._table.metadata
        sizes = [of.row_group(index).num_rows for index in range(of.num_row_groups)]
        ends = [0, *accumulate(sizes)]
        first = max(0, sum(end <= start for end in ends) - 1)
        self.at = ends[min(first, len(sizes))]
        groups = list(range(first, len(sizes)))
        self._steps = self._table.iter_batches(STEP_ROWS, row_groups=groups, use_threads=False)
        self._rest: Any = None

    def rows(self, start: int, count: int) -> list[dict[str, Any]]:
        """The rows from `start` on, which is not before `at`; fewer where the file ends."""
        for _ in self._pieces(start - self.at):
            continue
        return [row for piece in self._pieces(count) for row in piece.to_pylist()]

    def _pieces(self, count: int) -> Iterator[Any]:
        while count > 0:
            piece = self._rest if self._rest is not None else next(self._steps, None)
            if piece is None:
                return
            taken = min(count, piece.num_rows)
            self._rest = piece.slice(taken) if taken < piece.num_rows else None
            count, self.at = count - taken, self.at + taken
            yield piece.slice(0, taken)


class Tables:
    """Keeps the file open that was read last: who reads on in it decodes nothing twice."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cursor: Cursor | None = None
        self._version = ("", "")

    def records(self, open_file: Callable[[str], BinaryIO], place: Place) -> list[bytes]:
        """Each row as a JSON object. Raise InvalidInput, or what `open_file` raises."""
        with self._lock, _readable(place.name):
            cursor = self._at(open_file, place)
            rows = cursor.rows(place.start, place.rows)
            if len(rows) < place.rows:
                raise _too_short(place.name, cursor.at)
            found = [msgspec.json.encode(row, enc_hook=str) for row in rows]
            self._cursor, self._version = cursor, (place.key, place.etag)
            return found

    def _at(self, open_file: Callable[[str], BinaryIO], place: Place) -> Cursor:
        """A cursor before the place, which is kept only if nothing goes wrong with it."""
        cursor, self._cursor = self._cursor, None
        if cursor and self._version == (place.key, place.etag) and cursor.at <= place.start:
            return cursor
        return Cursor(open_file(place.key), place.start)

    def close(self) -> None:
        """Forget the file."""
        with self._lock:
            self._cursor = None


def _too_short(name: str, rows: int) -> InvalidInput:
    return InvalidInput(f"The file {name} has only {rows} rows by now.")


class Sink:
    """A file of which only the end can be taken away."""

    def __init__(self) -> None:
        self._pieces = bytearray()
        self.closed = False

    def write(self, data: Any) -> int:
        self._pieces += data
        return len(data)

    def flush(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        self.closed = True

    def taken(self) -> bytes:
        """What was written since the last call."""
        data = bytes(self._pieces)
        self._pieces.clear()
        return data


Cells = tuple[object, ...]


def written(rows: Iterable[Row], names: Sequence[str]) -> Iterator[bytes]:
    """The bytes of a Parquet file with these columns, a row group at a time."""
    check_parquet()
    import pyarrow as pa  # noqa: PLC0415 - see above
    from pyarrow.parquet import ParquetWriter  # noqa: PLC0415 - see above

    kinds = {"ms": pa.float64()}
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in names])
    sink = Sink()
    with ParquetWriter(pa.PythonFile(sink, "w"), schema, compression="zstd") as writer:
        for group in _groups(rows):
            columns = [list(column) for column in zip(*(cells(row, names) for row in group))]  # noqa: B905 - all have the same names
            arrays = [pa.array(*pair) for pair in zip(columns, schema.types, strict=True)]
            writer.write_table(pa.table(arrays, schema=schema))
            yield sink.taken()
    yield sink.taken()


def _groups(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Rows by the row group they belong to; the same rows always make the same groups."""
    group: list[Row] = []
    size = 0
    for row in rows:
        group.append(row)
        size += len(row.output or "") + len(row.input or "")
        if len(group) == GROUP_ROWS or size >= GROUP_CHARS:
            yield group
            group, size = [], 0
    if group:
        yield group


def cells(row: Row, names: Sequence[str]) -> Cells:
    """The cells of a row of the results."""
    of = {
        "path": row.name,
        "output": row.output,
        "error": f"{row.error.code}: {row.error.message}" if row.error else None,
        "ms": row.took_ms,
        "input": row.input,
    }
    return tuple(of[name] for name in names)


def read_back(file: BinaryIO, name: str, start: int, count: int) -> list[Cells]:
    """Rows of results as they are stored; fewer where the file ends."""
    with _readable(name):
        return [tuple(row.values()) for row in Cursor(file, start).rows(start, count)]
