"""text/csv: the rows of one example, without a header; one row is a vector."""

from __future__ import annotations

import csv
from math import isfinite
from typing import Any

import numpy as np

from hookline.core.errors import InvalidInput
from hookline.runtime.fitting import Array


def preprocess(input: bytes, model: Any) -> Array:  # noqa: A002 - the seed's name
    """Cells [rows, columns], or [columns] of a single row, for the model's first input."""
    rows = _rows(input)
    if not rows:
        raise InvalidInput("The CSV is empty.", hint="Send at least one row.")
    if len({len(row) for row in rows}) != 1:
        raise InvalidInput("The CSV's rows are not equally long.")
    cells: Any = rows
    if model.first.dtype != object:
        cells = [[_number(cell, at) for cell in row] for at, row in enumerate(rows, 1)]
    return np.asarray(cells[0] if len(rows) == 1 else cells)


def _rows(body: bytes) -> list[list[str]]:
    try:
        lines = body.decode("utf-8-sig").splitlines()
        return [row for row in csv.reader(lines, skipinitialspace=True, strict=True) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput("The body is not CSV in UTF-8.", why=f"{error}.") from error


def _number(cell: str, row: int) -> float:
    try:
        value = float(cell)
    except ValueError as error:
        raise InvalidInput(
            f"Row {row} of the CSV holds {cell[:40]!r}, which is not a number.",
            hint="Send the rows without a header.",
        ) from error
    if not isfinite(value):
        raise InvalidInput(f"Row {row} of the CSV holds {cell[:40]!r}, which is not finite.")
    return value
