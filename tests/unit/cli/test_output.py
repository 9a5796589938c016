"""Tables and progress: what a person sees."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from hookline.cli.modelfiles import read_labels
from hookline.cli.output import cell, table
from hookline.cli.progress import Lines, progress
from hookline.core.errors import InvalidInput


def test_a_wide_character_takes_two_columns() -> None:
    lines = list(table([{"name": "日本"}, {"name": "ab"}], ("name",)))

    assert lines == ["|     name     |", "|        日本  |", "|          ab  |"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (True, "yes"),
        (False, "no"),
        ({"a": 1}, '{"a": 1}'),
        ("a\nb\t\x07", "a\\nb\\t\\x07"),
    ],
)
def test_a_cell_is_one_harmless_line(value: object, shown: str) -> None:
    assert cell("x", value) == shown


def test_times_are_local_and_others_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    import time  # noqa: PLC0415 - the zone changes in this test alone

    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert cell("created_at", "2026-01-02T03:04:05Z") == "2026-01-02 12:04:05"
        assert cell("created_at", "soon") == "soon"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_log_gets_a_line_every_ten_seconds() -> None:
    file, now_s = io.StringIO(), [0.0]
    lines = Lines("Job 21", "rows", file, clock=lambda: now_s[0])

    for at_s, done in ((9, 90), (10, 100), (19, 190), (20, 200)):
        now_s[0] = at_s
        lines.show(done, 1000, "2 failed")

    assert file.getvalue().splitlines() == [
        "Job 21: 100/1,000 rows, 10 rows/s, 90 s left, 2 failed",
        "Job 21: 200/1,000 rows, 10 rows/s, 80 s left, 2 failed",
    ]


def test_an_unknown_total_is_left_out() -> None:
    file, now_s = io.StringIO(), [0.0]
    lines = Lines("Job 21", "rows", file, clock=lambda: now_s[0])
    now_s[0] = 10

    lines.show(0, 0, "Received")

    assert file.getvalue() == "Job 21: 0 rows, 0 rows/s, Received\n"


def test_who_looks_in_late_sees_the_rate_since_then() -> None:
    file, now_s = io.StringIO(), [0.0]
    lines = Lines("Job 21", "rows", file, clock=lambda: now_s[0])

    lines.show(900_000, 1_000_000)
    now_s[0] = 10.0
    lines.show(900_500, 1_000_000, "3 failed")

    assert file.getvalue() == (
        "Job 21: 900,500/1,000,000 rows, 50 rows/s, 1,990 s left, 3 failed\n"
    )


class Terminal(io.StringIO):
    """A stderr that a person looks at."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("kind", "has_bar"), [("xterm", True), ("dumb", False)])
def test_a_person_sees_a_bar_that_goes_away(
    kind: str, *, has_bar: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setenv("TERM", kind)
    monkeypatch.setattr("sys.stderr", terminal)

    with progress("Uploading", "files") as bar:
        bar.show(1, 2, "1 failed")

    assert ("1/2 files" in terminal.getvalue()) == has_bar
    assert ("\x1b" in terminal.getvalue()) == has_bar


@pytest.mark.parametrize(
    ("name", "text"),
    [("l.txt", "cat\r\n dog \n\n"), ("l.json", '["cat", "dog"]'), ("l.txt", '["cat", "dog"]')],
)
def test_labels_are_lines_or_a_list(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)

    assert read_labels(tmp_path / name) == ("cat", "dog")


@pytest.mark.parametrize("text", ['{"0": "cat"}', "[1, 2]", "[", '"cat"'])
def test_other_json_is_no_labels(text: str, tmp_path: Path) -> None:
    (tmp_path / "l.json").write_text(text)

    with pytest.raises(InvalidInput, match=r"JSON|list of strings"):
        read_labels(tmp_path / "l.json")
