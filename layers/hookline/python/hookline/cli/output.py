"""Answers as text: the seed's table, or json, jsonl, csv and ids for programs."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

import msgspec

MIN_WIDTH = 10  # the seed's tables never have narrower columns
Row = dict[str, Any]


def plain(view: object) -> Any:
    """Dicts, lists and values, as JSON has them."""
    return msgspec.to_builtins(view)


def one(view: object, form: str, columns: Sequence[str]) -> Iterator[str]:
    """One answer. As a table: a row of `columns`, or a field a line when there are none."""
    row: Row = msgspec.to_builtins(view)
    if form == "json":
        yield json.dumps(row, indent=2, ensure_ascii=False)
    elif form == "table" and not columns:
        failure = row.pop("failure", None)
        row = _with_report(row)
        lines = [{"field": name, "value": cell(name, value)} for name, value in row.items()]
        yield from table(lines, ("field", "value"))
        yield from _explained(failure or {})
    else:
        yield from many([view], form, columns)


def _with_report(row: Row) -> Row:
    """A model's variant and how near it is to its original, as fields of their own."""
    variant = dict(row.get("variant") or {})
    report = variant.pop("accuracy", {})
    kept = {name: value for name, value in row.items() if name != "variant"}
    told = variant | {f"accuracy.{name}": value for name, value in report.items()}
    return kept | {name: value for name, value in told.items() if value is not None}


def many(views: Iterable[object], form: str, columns: Sequence[str]) -> Iterator[str]:
    """A list. jsonl and id are printed as they arrive, the others when all are there.

    A table without `columns` has one for each field.
    """
    rows: Iterator[Row] = (msgspec.to_builtins(view) for view in views)
    if form == "json":
        yield json.dumps(list(rows), indent=2, ensure_ascii=False)
    elif form == "jsonl":
        yield from (json.dumps(row, ensure_ascii=False) for row in rows)
    elif form == "id":
        yield from (str(next(iter(row.values())) if "id" not in row else row["id"]) for row in rows)
    elif form == "csv":
        yield from _csv(list(rows), columns)
    else:
        found = list(rows)
        yield from table(
            found, columns or list(dict.fromkeys(name for row in found for name in row))
        )


def table(rows: Sequence[Row], columns: Sequence[str]) -> Iterator[str]:
    """Lines as the seed prints them: headers centred, values to the right, two spaces around."""
    grid = [[cell(name, row.get(name)) for name in columns] for row in rows]
    widths = [
        max(MIN_WIDTH, *(_width(line[index]) for line in [list(columns), *grid]))
        for index in range(len(columns))
    ]
    yield _line(f"{name:^{width + 4}}" for name, width in zip(columns, widths, strict=True))
    for line in grid:
        yield _line(
            " " * (2 + width - _width(text)) + text + "  "
            for text, width in zip(line, widths, strict=True)
        )


def cell(name: str, value: object) -> str:
    """A value for a person: times in the local zone, nothing that could steer a terminal."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict | list | tuple):
        return printable(json.dumps(value, ensure_ascii=False))
    if name.endswith("_at") and isinstance(value, str) and value:
        return _local(value)
    return printable(str(value))


def printable(text: str) -> str:
    """`text` with control characters written out: a name must not move the cursor."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def _explained(failure: Row) -> Iterator[str]:
    """Why something failed, below its table: the message and the lines of the user's code."""
    if failure:
        yield ""
        yield printable(failure["message"])
        yield from (f"  {printable(line)}" for line in failure["trace"].splitlines())


def _line(cells: Iterable[str]) -> str:
    return f"|{'|'.join(cells)}|"


def _width(text: str) -> int:
    """Columns of a terminal: wide characters take two, combining ones none."""
    return sum(
        0 if unicodedata.combining(char) else 1 + (unicodedata.east_asian_width(char) in "WF")
        for char in text
    )


def _local(timestamp: str) -> str:
    try:
        moment = datetime.fromisoformat(timestamp)
    except ValueError:
        return printable(timestamp)
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _csv(rows: Sequence[Row], columns: Sequence[str]) -> Iterator[str]:
    """All fields of the answers; a nested one as JSON."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = list(rows[0]) if rows else list(columns)
    writer.writerow(names)
    for row in rows:
        values = (row.get(name) for name in names)
        writer.writerow(
            json.dumps(value) if isinstance(value, dict | list | tuple | bool) else value
            for value in values
        )
    yield text.getvalue().rstrip("\n")
