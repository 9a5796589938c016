from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import pytest

from hookline.batch import reading
from hookline.batch.entries import Entry, Source
from hookline.batch.reading import READERS, Loaded, Reader, load
from hookline.core.errors import Forbidden, HooklineError, InputChanged, TooLarge, Unavailable
from hookline.core.ports import BlobInfo, Blobs, Ports


@pytest.fixture
def reader() -> Iterator[Reader]:
    reader = Reader()
    yield reader
    reader.close()


def stored(ports: Ports, name: str, body: bytes, index: int = 0) -> Entry:
    ports.blobs.put("v/" + name, body)
    info = ports.blobs.stat("v/" + name)
    assert info is not None
    return Entry(index=index, name=name, size_bytes=len(body), etag=info.etag)


def error_of(loaded: Loaded) -> HooklineError:
    assert isinstance(loaded.body, HooklineError)
    return loaded.body


def test_files_come_in_order_in_batches_of_the_size_asked_for(ports: Ports, reader: Reader) -> None:
    entries = [stored(ports, f"{n}", f"{n}".encode(), n) for n in range(10)]
    sizes = iter([1, 2, 4, 4, 4])

    batches = list(reader.batches(Source(ports.blobs, "v/"), entries, lambda: next(sizes)))

    assert [len(batch) for batch in batches] == [1, 2, 4, 3]
    assert [file.body for batch in batches for file in batch] == [
        f"{n}".encode() for n in range(10)
    ]


def test_a_batch_has_few_bytes_or_one_file(
    ports: Ports, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MAX_BATCH_BYTES", 10)
    entries = [stored(ports, f"{n}", b"x" * size, n) for n, size in enumerate([4, 6, 1, 50, 2, 2])]

    batches = list(reader.batches(Source(ports.blobs, "v/"), entries, lambda: 32))

    assert [[file.entry.size_bytes for file in batch] for batch in batches] == [
        [4, 6],
        [1],
        [50],
        [2, 2],
    ]


class Far:
    """Blobs that open once `readers` of them are asked for: one by one never ends."""

    def __init__(self, blobs: Blobs, readers: int) -> None:
        self._blobs, self._all_here = blobs, threading.Barrier(readers)
        self.opened = 0

    def open(self, key: str) -> BinaryIO:
        self.opened += 1
        self._all_here.wait(timeout=10)
        return self._blobs.open(key)

    def stat(self, key: str) -> BlobInfo | None:
        return self._blobs.stat(key)


def test_small_batches_from_far_away_are_read_side_by_side(ports: Ports, reader: Reader) -> None:
    entries = [stored(ports, f"{n:02}", f"{n}".encode(), n) for n in range(4 * READERS)]
    far: Any = Far(ports.blobs, READERS)

    batches = list(reader.batches(Source(far, "v/"), entries, lambda: 1))

    assert [file.body for [file] in batches] == [f"{n}".encode() for n in range(4 * READERS)]


def test_what_is_read_ahead_is_bounded_by_its_bytes(
    ports: Ports, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MAX_BATCH_BYTES", 10)
    entries = [stored(ports, f"{n:02}", b"12345", n) for n in range(40)]
    near: Any = Far(ports.blobs, 1)

    batches = reader.batches(Source(near, "v/"), entries, lambda: 1)
    next(batches)

    assert near.opened <= 3


def test_records_of_a_file_are_read_in_few_calls_for_whatever_batches(
    ports: Ports, reader: Reader
) -> None:
    lines = stored(ports, "a.jsonl", b"".join(b"%03d\n" % n for n in range(1000)))
    entries = [Entry(n, f"a.jsonl#{n + 1}", 3, lines.etag, start=4 * n) for n in range(1000)]
    near: Any = Far(ports.blobs, 1)

    batches = list(reader.batches(Source(near, "v/"), entries, lambda: 1))

    assert [file.body for [file] in batches] == [b"%03d" % n for n in range(1000)]
    assert near.opened < 10


def test_no_files_make_no_batches(ports: Ports, reader: Reader) -> None:
    assert list(reader.batches(Source(ports.blobs, "v/"), [], lambda: 32)) == []


def test_a_file_that_grew_is_not_read_to_its_end(ports: Ports) -> None:
    entry = stored(ports, "a", b"abc")
    ports.blobs.put("v/a", b"x" * 1_000_000)

    assert isinstance(error_of(load(Source(ports.blobs, "v/"), entry)), InputChanged)


def test_a_replaced_file_of_the_same_size_is_noticed(ports: Ports) -> None:
    entry = stored(ports, "a", b"abc")
    ports.blobs.put("v/a", b"abd")

    assert isinstance(error_of(load(Source(ports.blobs, "v/"), entry)), InputChanged)


def test_without_an_etag_the_size_decides(ports: Ports) -> None:
    stored(ports, "a", b"abc")
    entry = Entry(index=0, name="a", size_bytes=3, etag="")

    assert load(Source(ports.blobs, "v/"), entry).body == b"abc"


def test_a_huge_file_is_refused_without_being_read(ports: Ports) -> None:
    entry = Entry(index=0, name="missing", size_bytes=2**40, etag="")

    assert isinstance(error_of(load(Source(ports.blobs, "v/"), entry)), TooLarge)


@dataclass
class Broken:
    """Blobs of which every file is broken in the same way."""

    error: Exception

    def open(self, _key: str) -> BinaryIO:
        if isinstance(self.error, HooklineError):
            raise self.error
        return _BrokenFile(self.error)


class _BrokenFile(io.BytesIO):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def read(self, _size: int | None = -1, /) -> bytes:
        raise self._error


def broken(error: Exception) -> Source:
    blobs: Blobs = Broken(error)  # type: ignore[assignment]  # only `open` is reached
    return Source(blobs, "v/")


ENTRY = Entry(index=0, name="a", size_bytes=3, etag="")


def test_a_file_that_may_not_be_read_is_an_error_of_that_file() -> None:
    assert isinstance(error_of(load(broken(Forbidden("No.")), ENTRY)), Forbidden)


def test_a_damaged_file_is_an_error_of_that_file() -> None:
    error = error_of(load(broken(OSError(5, "Input/output error")), ENTRY))

    assert str(error) == "The file a cannot be read. Input/output error."


def test_storage_that_is_away_is_nobodys_error() -> None:
    with pytest.raises(Unavailable):
        load(broken(Unavailable("Later.")), ENTRY)
