"""Read the files of a shard ahead of the engine, each checked against the manifest."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from itertools import groupby
from typing import NamedTuple

from msgspec import structs

from hookline.batch.entries import Entry, Source
from hookline.batch.inputs import Inputs, Version
from hookline.batch.parquet import Place, Tables, is_parquet
from hookline.core.errors import (
    HooklineError,
    InputChanged,
    InvalidInput,
    NotFound,
    TooLarge,
    Unavailable,
)

READERS = 8  # blobs may be far away; on the local disk most of them idle
AHEAD_FILES = 16  # behind a batch, or as many as it has
AHEAD_RECORDS = 256  # as many as that of one file are one call
MAX_BATCH_BYTES = 16 * 1024 * 1024
MAX_FILE_BYTES = 64 * 1024 * 1024  # as large as a request to a stream may be


class Loaded(NamedTuple):
    """A file of the manifest with its content, or with the reason why there is none."""

    entry: Entry
    body: bytes | HooklineError


class Reader:
    """A few threads that read files of one volume after another."""

    def __init__(self, inputs: Inputs | None = None) -> None:
        """`inputs` are whole files that need not be fetched again."""
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="read")
        self._tables, self._inputs = Tables(), inputs

    def batches(
        self, source: Source, entries: Sequence[Entry], most: Callable[[], int]
    ) -> Iterator[list[Loaded]]:
        """The files in order, `most()` at a time; those behind them are read while one is used.

        Raise a retryable error when the storage cannot be reached.
        """
        ahead = AHEAD_RECORDS if entries and entries[0].is_record else AHEAD_FILES
        begin = partial(self._begin, source)
        with closing(_Window(entries, begin)) as window:
            start = 0
            while start < len(entries):
                count = _fitting(entries, start, most())
                end = start + count
                window.reach(end, end + _fitting(entries, end, max(count, ahead)))
                yield window.take(count)
                start = end

    def close(self) -> None:
        """Drop what is not read yet, and end the threads."""
        self._threads.shutdown(cancel_futures=True)
        self._tables.close()

    def _begin(self, source: Source, entries: Sequence[Entry]) -> list[_Reading]:
        return [
            self._threads.submit(_load_all, source, some, self._tables, self._inputs)
            for some in _runs(entries)
        ]


_Reading = Future[list[Loaded]]


class _Window:
    """The files that are read or being read, in order, and not taken yet."""

    def __init__(
        self, entries: Sequence[Entry], begin: Callable[[Sequence[Entry]], Sequence[_Reading]]
    ) -> None:
        self._entries, self._begin = entries, begin
        self._readings: deque[_Reading] = deque()
        self._loaded: deque[Loaded] = deque()
        self._begun = 0

    def reach(self, least: int, most: int) -> None:
        """Have the files before `least` read, and on to `most` unless half of the way is begun.

        By halves, so that several are asked for at once: records of one file are then one call.
        """
        if self._begun < (least + most) // 2:
            self._readings += self._begin(self._entries[self._begun : most])
            self._begun = most

    def take(self, count: int) -> list[Loaded]:
        """The next files. Wait for them."""
        while len(self._loaded) < count and self._readings:
            self._loaded += self._readings.popleft().result()
        return [self._loaded.popleft() for _ in range(min(count, len(self._loaded)))]

    def close(self) -> None:
        """Read no more."""
        for reading in self._readings:
            reading.cancel()


def _runs(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    """What one thread reads: records of one file that follow each other, or its share of files."""
    share = max(1, len(entries) // READERS)
    for file, run in groupby(entries, lambda entry: entry.file if entry.is_record else ""):
        found = list(run)
        step = len(found) if file else share
        yield from (found[start : start + step] for start in range(0, len(found), step))


def _load_all(
    source: Source, entries: Sequence[Entry], tables: Tables, inputs: Inputs | None = None
) -> list[Loaded]:
    """What `load` gives for each: some files, or records of one file in their order."""
    first = entries[0]
    if first.is_record and is_parquet(first.file):
        return _loaded(entries, partial(_rows, source, entries, tables))
    whole = _span_of(entries)
    if len(entries) == 1 or not first.is_record or whole.size_bytes > MAX_FILE_BYTES:
        return [load(source, entry, inputs) for entry in entries]
    return _loaded(entries, partial(_records, source, entries, whole))


def _records(source: Source, entries: Sequence[Entry], whole: Entry) -> list[bytes]:
    body = _content(source, whole)
    places = [(entry.start - whole.start, entry.size_bytes) for entry in entries]
    return [body[at : at + size_bytes] for at, size_bytes in places]


def _rows(source: Source, entries: Sequence[Entry], tables: Tables) -> list[bytes]:
    """As JSON; those between, which a retry has kept, are read over."""
    first, last = entries[0], entries[-1]
    key = source.prefix + first.file
    place = Place(first.file, key, first.etag, first.start, last.start - first.start + 1)
    try:
        with _that_is_there():
            found = tables.records(source.blobs.open, place)
    except InvalidInput:
        _check_unchanged(source, first)  # else that is why
        raise
    _check_unchanged(source, first)
    return [found[entry.start - first.start] for entry in entries]


def _span_of(entries: Sequence[Entry]) -> Entry:
    """From the first of these records to the last, as if it were one."""
    first, last = entries[0], entries[-1]
    size_bytes = last.start + last.size_bytes - first.start
    return structs.replace(first, size_bytes=size_bytes)


def _fitting(entries: Sequence[Entry], start: int, most: int) -> int:
    """How many files from `start` on make a batch: at least one, while there are any."""
    size_bytes = 0
    for taken, entry in enumerate(entries[start : start + most]):
        size_bytes += entry.size_bytes
        if taken and size_bytes > MAX_BATCH_BYTES:
            return taken
    return most


def load(source: Source, entry: Entry, inputs: Inputs | None = None) -> Loaded:
    """The content of one file. Raise a retryable error when the storage cannot be reached."""
    if not (entry.is_record and is_parquet(entry.file)):
        [loaded] = _loaded([entry], lambda: [_content_once(source, entry, inputs)])
        return loaded
    with closing(Tables()) as tables:
        [loaded] = _loaded([entry], partial(_rows, source, [entry], tables))
        return loaded


def _loaded(entries: Sequence[Entry], read: Callable[[], Sequence[bytes]]) -> list[Loaded]:
    try:
        return [Loaded(entry, body) for entry, body in zip(entries, read(), strict=True)]
    except HooklineError as error:
        if error.retryable:
            raise
        return [Loaded(entry, error) for entry in entries]
    except OSError as error:  # the storage answered; this file is damaged
        why = error.strerror or type(error).__name__
        text = f"The file {entries[0].file} cannot be read."
        return [Loaded(entry, Unavailable(text, why=f"{why}.")) for entry in entries]


def _content(source: Source, entry: Entry) -> bytes:
    if entry.size_bytes > MAX_FILE_BYTES:
        raise TooLarge(
            f"The file has {entry.size_bytes} bytes.",
            why=f"A batch reads files of at most {MAX_FILE_BYTES} bytes.",
            hint="Split it, or make it smaller.",
        )
    with _that_is_there(), source.blobs.open(source.prefix + entry.file) as file:
        if entry.is_record:
            file.seek(entry.start)
        body = file.read(entry.size_bytes + (not entry.is_record))
    _check_unchanged(source, entry)
    if len(body) != entry.size_bytes:
        raise _changed("has changed")
    return body


def _content_once(source: Source, entry: Entry, inputs: Inputs | None) -> bytes:
    """As `_content`. Whether it is there, and may be read, is asked all the same."""
    if inputs is None or entry.is_record or not entry.etag:
        return _content(source, entry)
    version = Version(source.blobs.uri(source.prefix + entry.file), entry.etag)
    body = inputs.get(version)
    if body is not None:
        _check_unchanged(source, entry)
        return body
    body = _content(source, entry)
    inputs.put(version, body)
    return body


def _check_unchanged(source: Source, entry: Entry) -> None:
    """After reading: a file that is unchanged now was unchanged then."""
    found = source.blobs.stat(source.prefix + entry.file)
    if found is None:
        raise _changed("is gone")
    if entry.etag not in ("", found.etag):
        raise _changed("has changed")


@contextmanager
def _that_is_there() -> Iterator[None]:
    try:
        yield
    except NotFound:
        raise _changed("is gone") from None


def _changed(what: str) -> InputChanged:
    return InputChanged(
        f"The file {what}.",
        why="A job predicts the files as they were when it was submitted.",
        hint="Submit the batch again.",
    )
