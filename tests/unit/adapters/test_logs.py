from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from hookline.adapters.embedded.logs import MAX_LINE_BYTES, Lines, append, read
from tests.unit.adapters.folders import names


def everything(folder: Path, after: int = 0) -> tuple[list[str], int]:
    seen: list[str] = []
    while True:
        lines, position = read(folder, after)
        if not lines:
            return seen, position
        seen, after = seen + lines, position


def test_lines_are_read_from_a_position_on(tmp_path: Path) -> None:
    append(tmp_path, [b"one", "é".encode()])
    lines, position = read(tmp_path, 0)
    append(tmp_path, [b"three", b""])

    assert lines == ["one", "é"]
    assert read(tmp_path, position) == (["three", ""], position + 7)
    assert read(tmp_path, position + 7) == ([], position + 7)


def test_a_log_that_was_never_written_is_empty(tmp_path: Path) -> None:
    append(tmp_path / "log", [])

    assert read(tmp_path / "log", 0) == ([], 0)
    assert read(tmp_path / "log", 99) == ([], 0)


def test_a_position_after_the_end_shows_nothing(tmp_path: Path) -> None:
    append(tmp_path, [b"a"])
    for after in (3, 2**63, 10**30):
        assert read(tmp_path, after) == ([], 2)


def test_bytes_that_are_no_text_are_shown_as_such(tmp_path: Path) -> None:
    append(tmp_path, [b"\xff\x00"])

    assert read(tmp_path, 0)[0] == ["\ufffd\0"]


def test_the_size_on_disk_is_bounded_and_positions_stay(tmp_path: Path) -> None:
    lines = [b"%06d" % index + b"x" * 1000 for index in range(8000)]
    position_half = 4000 * 1007
    for start in range(0, len(lines), 100):
        append(tmp_path, lines[start : start + 100])
    size_bytes = sum(path.stat().st_size for path in tmp_path.iterdir())
    seen, end = everything(tmp_path)

    assert size_bytes < 5 * 1024 * 1024
    assert end == 8000 * 1007
    assert seen == [line.decode() for line in lines][-len(seen) :]
    assert everything(tmp_path, 6000 * 1007)[0][0].startswith("006000x")
    assert everything(tmp_path, position_half) == everything(tmp_path, 0)


def test_a_line_that_is_being_written_is_not_shown_yet(tmp_path: Path) -> None:
    append(tmp_path, [b"whole"])
    with (tmp_path / names(tmp_path)[0]).open("ab") as file:
        file.write(b"half")

    assert read(tmp_path, 0) == (["whole"], 6)


@given(st.lists(st.binary(max_size=20)))
def test_pieces_make_the_same_lines_as_the_whole(pieces: list[bytes]) -> None:
    lines = Lines()
    seen = [line for piece in pieces for line in lines.feed(piece)] + lines.end()
    whole = b"".join(pieces)

    assert b"\n".join(seen) == whole.removesuffix(b"\n")


def test_a_line_without_end_is_cut() -> None:
    lines = Lines()
    seen = [line for _ in range(10) for line in lines.feed(b"x" * MAX_LINE_BYTES)]
    seen += lines.feed(b"y" * 3 * MAX_LINE_BYTES + b"\nz") + lines.end()

    assert max(map(len, seen)) == MAX_LINE_BYTES
    assert b"".join(seen) == b"x" * 10 * MAX_LINE_BYTES + b"y" * 3 * MAX_LINE_BYTES + b"z"
