from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.batch import row_file
from hookline.batch.row_file import Counts, RowFile
from hookline.core.errors import Unavailable
from hookline.core.rows import Row, RowError, encoded

rows = st.lists(
    st.builds(
        Row,
        index=st.integers(0, 2**40),
        name=st.text(max_size=9),
        output=st.one_of(st.none(), st.text(max_size=40)),
        error=st.one_of(st.none(), st.just(RowError("hook_failed", "No."))),
    ),
    max_size=20,
)


@given(rows=rows, first=st.integers(0, 20), memory_bytes=st.sampled_from([1, 100, 10**6]))
def test_what_goes_in_comes_out_from_memory_and_from_disk(
    rows: list[Row], first: int, memory_bytes: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_file, "MEMORY_BYTES", memory_bytes)
        patch.setattr(row_file, "PIECE_BYTES", 7)
        file = RowFile()
        for row in rows:
            assert list(file.pieces(len(file))) == []
            file.append(row)

        first = min(first, len(rows))
        failed = sum(row.error is not None for row in rows)
        assert (len(file), file.counts) == (len(rows), Counts(len(rows) - failed, failed))
        assert list(file) == rows
        assert b"".join(file.pieces(first)) == encoded(rows[first:])
        assert file.start_of(first) == len(encoded(rows[:first]))


def test_many_large_rows_take_little_memory_and_leave_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    tracemalloc.start()
    try:
        file = RowFile()
        for index in range(40):
            file.append(Row(index, "a", "x" * 1_000_000))
        assert max(map(len, file.pieces())) <= row_file.PIECE_BYTES
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak_bytes < 3 * row_file.MEMORY_BYTES
    assert list(tmp_path.iterdir()) == []  # it has no name, so a worker that dies leaves nothing


@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_full_disk_is_said_and_costs_no_row_that_was_there(
    monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """On the way to the disk, or there; and half of a row that was written is not there."""
    monkeypatch.setattr(row_file, "MEMORY_BYTES", 100)
    rows = [Row(index, "a", "x" * 60) for index in range(5)]
    file = RowFile(rows[: after + 1])
    pwrite = os.pwrite

    def full(descriptor: int, data: bytes, at: int) -> int:
        if len(data) <= 20:
            raise OSError(28, "No space left on device")
        return pwrite(descriptor, data[:20], at)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(Unavailable, match=r"No space left on device\. Make room"):
            file.append(rows[after + 1])
    assert list(file) == rows[: after + 1]
    assert b"".join(file.pieces()) == encoded(rows[: after + 1])

    file.extend(rows[after + 1 :])
    assert list(file) == rows
    assert b"".join(file.pieces()) == encoded(rows)


def test_a_file_that_lost_its_end_is_said_and_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(row_file, "MEMORY_BYTES", 1)
    file = RowFile([Row(0, "a", "1")])
    assert file._disk is not None
    os.ftruncate(file._disk.fileno(), 3)

    with pytest.raises(Unavailable, match="cannot be read back"):
        list(file.pieces())
