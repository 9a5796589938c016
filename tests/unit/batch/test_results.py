from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.batch.results import Digest
from hookline.core.rows import Row, RowError
from hookline.core.sheets import FLUSH_BYTES, Columns, cell, csv_lines, json_lines


def row(index: int, name: str, output: str = "1") -> Row:
    return Row(index=index, name=name, output=output)


def text(*rows: Row, has_errors: bool = False) -> str:
    return b"".join(csv_lines(rows, Columns(error=has_errors))).decode()


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


@pytest.mark.timeout(20)  # a pattern that tries again at each digit takes hours
def test_a_hostile_output_is_looked_at_once() -> None:
    hostile = "-" + "1" * 5_000_000 + "x", "-1" + ", 1" * 2_000_000 + "x"

    assert [cell(output)[0] for output in hostile] == ["'", "'"]


@given(
    texts=st.lists(
        st.text(alphabet=st.sampled_from("a0 ,;\"'\r\n\t\0\x85\u2028é€😀\ufeff="), max_size=12),
        max_size=6,
    )
)
def test_cells_are_quoted_as_the_csv_module_does(texts: list[str]) -> None:
    rows = [Row(index, name, output="x" + name) for index, name in enumerate(texts)]
    wanted = io.StringIO(newline="")
    writer = csv.writer(wanted, lineterminator="\r\n")
    for name in texts:
        writer.writerow([cell(name), cell("x" + name)])

    assert text(*rows) == wanted.getvalue()


def test_a_long_csv_comes_in_pieces() -> None:
    rows = [row(n, f"{n}", "x" * 1000) for n in range(2000)]

    pieces = list(csv_lines(rows, Columns()))

    assert len(pieces) > 5
    assert max(map(len, pieces)) < FLUSH_BYTES + 2000
    assert b"".join(pieces).decode() == "".join(f"{n},{'x' * 1000}\r\n" for n in range(2000))


def test_a_digest_knows_what_passed_through() -> None:
    out = io.BytesIO()
    digest = Digest(out.write)
    digest.write(b"ab")
    digest.write(b"c")

    assert (out.getvalue(), digest.size_bytes, digest.sha256[:8]) == (b"abc", 3, "ba7816bf")


def test_columns_follow_in_their_order_and_input_is_made_harmless() -> None:
    row = Row(index=0, name="a.csv#1", output="7", took_ms=1.5, input="=1+1,2")

    [piece] = csv_lines([row], Columns(error=True, timing=True, input=True))

    assert piece == b'a.csv#1,7,,1.5,"\'=1+1,2"\r\n'


def test_json_lines_hold_json_as_json_and_text_as_text() -> None:
    rows = [
        Row(index=0, name="a.jsonl#1", output='{"p":[1,2]}', is_json=True, input="[3]"),
        Row(index=1, name="=b.csv#1", output="=7", input="1,2"),
        Row(index=2, name="c", error=RowError("hook_failed", "no"), is_json=True),
        Row(index=3, name="d", output="{half", is_json=True),
    ]

    [piece] = json_lines(rows, Columns(error=True, input=True))

    assert [json.loads(line) for line in piece.splitlines()] == [
        {"path": "a.jsonl#1", "output": {"p": [1, 2]}, "error": None, "input": [3]},
        {"path": "=b.csv#1", "output": "=7", "error": None, "input": "1,2"},
        {
            "path": "c",
            "output": None,
            "error": {"code": "hook_failed", "message": "no"},
            "input": None,
        },
        {"path": "d", "output": "{half", "error": None, "input": None},
    ]
