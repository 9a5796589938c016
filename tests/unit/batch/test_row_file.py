from __future__ import annotations

from pathlib import Path
from typing import Any

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


def test_many_large_rows_take_little_memory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    file = RowFile()
    for index in range(20):
        file.append(Row(index, "a", "x" * 1_000_000))

    assert file._file._rolled  # type: ignore[attr-defined]  # what tempfile calls it
    assert list(tmp_path.iterdir()) == []  # it has no name, so a worker that dies leaves nothing
    assert max(map(len, file.pieces())) <= row_file.PIECE_BYTES


def test_a_full_disk_is_said_and_adds_no_row(monkeypatch: pytest.MonkeyPatch) -> None:
    file = RowFile([Row(0, "a", "1")])

    class Full:
        def __getattr__(self, name: str) -> Any:
            return getattr(file_of_rows, name)

        def write(self, _line: bytes) -> int:
            raise OSError(28, "No space left on device")

    file_of_rows = file._file
    monkeypatch.setattr(file, "_file", Full())
    with pytest.raises(Unavailable, match=r"No space left on device\. Make room"):
        file.append(Row(1, "b", "2"))
    monkeypatch.undo()

    file.append(Row(1, "b", "3"))
    assert [row.output for row in file] == ["1", "3"]
