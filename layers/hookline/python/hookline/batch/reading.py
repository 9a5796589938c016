"""Read the files of a shard ahead of the engine, each checked against the manifest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import groupby
from typing import NamedTuple

from msgspec import structs

from hookline.batch.entries import Entry, Source
from hookline.core.errors import HooklineError, InputChanged, NotFound, TooLarge, Unavailable

READERS = 8  # blobs may be far away; on the local disk most of them idle
MAX_BATCH_BYTES = 16 * 1024 * 1024
MAX_FILE_BYTES = 64 * 1024 * 1024  # as large as a request to a stream may be


class Loaded(NamedTuple):
    """A file of the manifest with its content, or with the reason why there is none."""

    entry: Entry
    body: bytes | HooklineError


class Reader:
    """A few threads that read files of one volume after another."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="read")

    def batches(
        self, source: Source, entries: Sequence[Entry], most: Callable[[], int]
    ) -> Iterator[list[Loaded]]:
        """The files in order, `most()` at a time; the next batch is read while one is used.

        Raise a retryable error when the storage cannot be reached.
        """
        begin = partial(self._begin, source)
        start = 0
        reading = begin(entries[: _fitting(entries, 0, most())])
        while reading:
            batch = [file for some in reading for file in some.result()]
            start += len(batch)
            reading = begin(entries[start : start + _fitting(entries, start, most())])
            yield batch

    def close(self) -> None:
        """Drop what is not read yet, and end the threads."""
        self._threads.shutdown(cancel_futures=True)

    def _begin(self, source: Source, entries: Sequence[Entry]) -> list[Future[list[Loaded]]]:
        return [self._threads.submit(_load_all, source, some) for some in _runs(entries)]


def _runs(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    """What one thread reads: records of one file that follow each other, or its share of files."""
    share = max(1, len(entries) // READERS)
    for file, run in groupby(entries, lambda entry: entry.file if entry.is_record else ""):
        found = list(run)
        step = len(found) if file else share
        yield from (found[start : start + step] for start in range(0, len(found), step))


def _load_all(source: Source, entries: Sequence[Entry]) -> list[Loaded]:
    """What `load` gives for each: some files, or records of one file in their order."""
    if len(entries) == 1 or not entries[0].is_record:
        return [load(source, entry) for entry in entries]
    whole = _span_of(entries)
    if whole.size_bytes > MAX_FILE_BYTES:
        return [load(source, entry) for entry in entries]
    _, body = load(source, whole)
    if not isinstance(body, bytes):
        return [Loaded(entry, body) for entry in entries]
    places = [(entry, entry.start - whole.start) for entry in entries]
    return [Loaded(entry, body[at : at + entry.size_bytes]) for entry, at in places]


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


def load(source: Source, entry: Entry) -> Loaded:
    """The content of one file. Raise a retryable error when the storage cannot be reached."""
    try:
        return Loaded(entry, _content(source, entry))
    except HooklineError as error:
        if error.retryable:
            raise
        return Loaded(entry, error)
    except OSError as error:  # the storage answered; this file is damaged
        why = error.strerror or type(error).__name__
        return Loaded(entry, Unavailable(f"The file {entry.name} cannot be read.", why=f"{why}."))


def _content(source: Source, entry: Entry) -> bytes:
    if entry.size_bytes > MAX_FILE_BYTES:
        raise TooLarge(
            f"The file has {entry.size_bytes} bytes.",
            why=f"A batch reads files of at most {MAX_FILE_BYTES} bytes.",
            hint="Split it, or make it smaller.",
        )
    key = source.prefix + entry.file
    try:
        with source.blobs.open(key) as file:
            if entry.is_record:
                file.seek(entry.start)
            body = file.read(entry.size_bytes + (not entry.is_record))
        found = source.blobs.stat(key)  # after reading: an unchanged file was unchanged then
    except NotFound:
        found = None
    if found is None:
        raise _changed("is gone")
    if len(body) != entry.size_bytes or entry.etag not in ("", found.etag):
        raise _changed("has changed")
    return body


def _changed(what: str) -> InputChanged:
    return InputChanged(
        f"The file {what}.",
        why="A job predicts the files as they were when it was submitted.",
        hint="Submit the batch again.",
    )
