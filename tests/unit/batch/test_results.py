from __future__ import annotations

import csv
import io
import time

import pytest

from hookline.batch.parts import Row, RowError
from hookline.batch.results import FLUSH_CHARS, Digest, cell, lines


def row(index: int, name: str, output: str = "1") -> Row:
    return Row(index=index, name=name, output=output)


def text(*rows: Row, has_errors: bool = False) -> str:
    return b"".join(lines(rows, has_errors=has_errors)).decode()


def test_the_first_column_is_the_path_and_the_second_the_output() -> None:
    assert text(row(0, "a.png"), row(1, "b.png", "0.1, 0.2")) == 'a.png,1\r\nb.png,"0.1, 0.2"\r\n'


def test_a_failed_row_adds_a_third_column_to_every_row() -> None:
    failed = Row(index=1, name="b", error=RowError(code="hook_failed", message='It "broke".'))

    assert text(row(0, "a"), failed, has_errors=True) == (
        'a,1,\r\nb,,"hook_failed: It ""broke""."\r\n'
    )


def test_no_rows_make_an_empty_file() -> None:
    assert text() == ""


def test_awkward_names_and_outputs_survive_the_round_trip() -> None:
    cells = [
        ('a,b"c\nd.jpg', '{"outputs": [1.0], "shape": [1, 1]}'),
        ("\r", "a\rb\r\nc\0d"),
        ("é ünï ✓ \U0001f600", " leading and trailing "),
    ]
    rows = [row(n, name, output) for n, (name, output) in enumerate(cells)]

    found = list(csv.reader(io.StringIO(text(*rows), newline=""), strict=True))

    assert found == [[cell(name), cell(output)] for name, output in cells]


@pytest.mark.parametrize(
    "executed",
    [
        "=cmd|'/c calc'!A1.jpg",
        "+1+cmd|' /C calc'!A0",
        "-2+3+cmd|' /C calc'!A0",
        "@SUM(1+1)",
        "\tx",
        "\rx",
        "\nx",
        "\uff1dcmd",
        "-",
        "-1.5e",
        "-1, 2, =cmd()",
        "-inf, nan, x",
    ],
)
def test_a_cell_that_a_spreadsheet_would_execute_is_neutralised(executed: str) -> None:
    assert cell(executed) == "'" + executed


@pytest.mark.parametrize(
    "number",
    [
        "-0.25",
        "+1",
        "-1e-07",
        "-.5",
        "-1.",
        "-0.1, 0.2",
        "-0.1,-0.2",
        "-0.1\t0.2\t-3E+5",
        "-inf",
        "-Infinity, NaN",
        "-1, 2\n3, -4",
        "0.5",
        "",
        "cat",
        "'quoted'",
        '{"outputs": [-1]}',
        "a=b",
    ],
)
def test_numbers_and_harmless_text_are_never_touched(number: str) -> None:
    assert cell(number) == number


def test_a_hostile_output_is_looked_at_in_linear_time() -> None:
    hostile = "-" + "1" * 5_000_000 + "x", "-1" + ", 1" * 2_000_000 + "x"
    began = time.perf_counter()

    assert [cell(output)[0] for output in hostile] == ["'", "'"]
    assert time.perf_counter() - began < 2


def test_a_long_csv_comes_in_pieces() -> None:
    rows = [row(n, f"{n}", "x" * 1000) for n in range(2000)]

    pieces = list(lines(rows, has_errors=False))

    assert len(pieces) > 5
    assert max(map(len, pieces)) < FLUSH_CHARS + 2000
    assert b"".join(pieces).decode() == "".join(f"{n},{'x' * 1000}\r\n" for n in range(2000))


def test_a_digest_knows_what_passed_through() -> None:
    out = io.BytesIO()
    digest = Digest(out.write)
    digest.write(b"ab")
    digest.write(b"c")

    assert (out.getvalue(), digest.size_bytes, digest.sha256[:8]) == (b"abc", 3, "ba7816bf")
