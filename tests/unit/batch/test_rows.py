from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest

from hookline.batch import parts
from hookline.batch.entries import Entry
from hookline.batch.journal import MAX_LATEST_BYTES, MAX_STRIKES, Journal, key_of, latest_of
from hookline.batch.row_file import Counts, RowFile, count
from hookline.batch.rows import row_of
from hookline.core.errors import Conflict, HookFailed, InputChanged, Unavailable
from hookline.core.ports import BlobWriter, Ports
from hookline.core.records import Shard
from hookline.core.rows import Row, encoded
from hookline.runtime.items import Answer

ENTRY = Entry(index=3, name="a.png", size_bytes=1, etag="")


def shard(attempt: int = 1) -> Shard:
    return Shard(tenant="acme", job_id=21, index=0, first=0, count=2, attempt=attempt)


def test_a_part_has_the_documented_lines() -> None:
    rows = [
        row_of(ENTRY, Answer(b"1", "text/plain")),
        row_of(ENTRY, HookFailed("It broke.", why="Too small.")),
    ]

    assert [msgspec.json.decode(line) for line in encoded(rows).splitlines()] == [
        {"i": 3, "name": "a.png", "output": "1"},
        {
            "i": 3,
            "name": "a.png",
            "error": {"code": "hook_failed", "message": "It broke. Too small."},
        },
    ]


def test_an_empty_output_is_an_output() -> None:
    row = row_of(ENTRY, Answer(b"", "text/plain"))

    assert (row.output, count([row])) == ("", Counts(1, 0))


def test_a_message_that_no_file_could_hold_is_cut_and_made_valid() -> None:
    row = row_of(ENTRY, HookFailed("\ud800" + "x" * 1_000_000))

    assert row.error is not None
    assert row.error.message.startswith("?xx")
    assert len(encoded([row])) < 3000


def test_the_first_part_is_the_part(ports: Ports) -> None:
    mine = RowFile([Row(0, "a", "1"), Row(1, "b", "2")])
    late = RowFile([Row(0, "a", "9")])

    assert parts.write(ports.blobs, shard(), mine) == (2, 0)
    assert parts.write(ports.blobs, shard(), late) == (2, 0)
    assert parts.stored(ports.blobs, shard()) == (2, 0)


def test_there_is_no_part_before_it_is_written(ports: Ports) -> None:
    assert parts.stored(ports.blobs, shard()) is None


def test_a_journal_hands_rows_to_the_next_attempt(ports: Ports) -> None:
    journal = Journal.open(ports.blobs, shard())
    journal.rows.append(Row(0, "a", "1"))
    journal.save()

    assert list(Journal.open(ports.blobs, shard(attempt=2)).rows) == [Row(0, "a", "1")]

    journal.discard()
    assert list(Journal.open(ports.blobs, shard(attempt=3)).rows) == []


def test_a_file_is_accused_when_it_was_the_last_word_of_two_attempts(ports: Ports) -> None:
    for attempt in range(MAX_STRIKES):
        assert Journal.open(ports.blobs, shard(attempt=attempt + 3)).accuse(1)
    last = Journal.open(ports.blobs, shard(attempt=9))

    assert not last.accuse(1)
    assert last.accuse(0)


def test_a_journal_writes_what_came_since_and_hands_over_everything(ports: Ports) -> None:
    written: list[int] = []

    class Counted:
        @contextmanager
        def writer(self, key: str) -> Iterator[BlobWriter]:
            data = io.BytesIO()
            yield data
            written.append(data.getvalue().count(b"\n") - 1)
            ports.blobs.put(key, data.getvalue())

        def __getattr__(self, name: str) -> Any:
            return getattr(ports.blobs, name)

    blobs: Any = Counted()
    for attempt in (3, 4, 5):
        journal = Journal.open(blobs, shard(attempt=attempt))
        first = len(journal.rows)
        assert [row.index for row in journal.rows] == list(range(first))
        for index in range(first, first + 300):
            assert journal.accuse(index)
            journal.rows.append(Row(index, f"{index}", "1"))
        journal.save()

    rows = Journal.open(ports.blobs, shard(attempt=6)).rows
    assert [row.index for row in rows] == list(range(900))
    assert sum(written) < 900 * 50  # each time all of them: 900 * 450
    journal.discard()
    assert ports.blobs.list("").items == []


def test_rows_that_a_newer_journal_has_are_not_added_to_it_again(ports: Ports) -> None:
    journal = Journal.open(ports.blobs, shard(attempt=3))
    journal.rows.append(Row(0, "a", "1"))
    assert journal.accuse(1)
    journal.rows.extend(Row(index, "a", "1") for index in range(1, 70))
    assert journal.accuse(70)

    found = Journal.open(ports.blobs, shard(attempt=4))

    assert len(found.rows) == 70
    assert found.accuse(70)
    assert not Journal.open(ports.blobs, shard(attempt=5)).accuse(70)


def test_large_rows_are_written_once_and_not_with_each_file(ports: Ports) -> None:
    journal = Journal.open(ports.blobs, shard(attempt=3))
    for index in range(9):
        journal.rows.append(Row(index, "a", "x" * (MAX_LATEST_BYTES // 4)))
        assert journal.accuse(index + 1)

    sizes = [ports.blobs.stat(key) for key in (key_of(shard()), latest_of(key_of(shard())))]
    base, latest = (info.size_bytes if info else 0 for info in sizes)
    assert base > MAX_LATEST_BYTES > latest
    assert len(Journal.open(ports.blobs, shard(attempt=4)).rows) == 9


def test_a_journal_that_a_zombie_writes_meanwhile_is_read_again(ports: Ports) -> None:
    journal = Journal.open(ports.blobs, shard(attempt=3))
    journal.rows.append(Row(0, "a", "1"))
    journal.save()

    class Changing:
        def __init__(self, times: int) -> None:
            self.left = times

        def open(self, key: str) -> Any:
            self.left -= 1
            if self.left >= 0:
                raise InputChanged("It has changed.")
            return ports.blobs.open(key)

    blobs: Any = Changing(2)
    assert list(Journal.open(blobs, shard(attempt=4)).rows) == [Row(0, "a", "1")]
    blobs = Changing(1000)
    with pytest.raises(Unavailable):
        Journal.open(blobs, shard(attempt=4))


def test_a_part_that_another_began_and_is_not_there_is_tried_again(ports: Ports) -> None:
    class Racing:
        @contextmanager
        def writer(self, key: str, *, if_absent: bool) -> Iterator[BlobWriter]:
            assert if_absent
            yield io.BytesIO()
            raise Conflict(f"The file {key} exists already.")

        def __getattr__(self, name: str) -> Any:
            return getattr(ports.blobs, name)

    blobs: Any = Racing()
    with pytest.raises(Unavailable):
        parts.write(blobs, shard(), RowFile([Row(0, "a", "1")]))


def test_a_saved_journal_suspects_nobody(ports: Ports) -> None:
    for attempt in range(5):
        journal = Journal.open(ports.blobs, shard(attempt=attempt + 3))
        assert journal.accuse(1)
        journal.save()
