"""What the right answers are: a CSV with a name of a file and its class or values on each line."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from hookline.core.errors import InvalidInput, NotFound

_HINT = "Write a CSV: a header, then each file's name and its class, or its values."
_COLUMNS = 2  # at least


def read_truth(path: Path) -> dict[str, tuple[str, ...]]:
    """File name → the cells beside it. Raise NotFound or InvalidInput, saying what to do."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise NotFound(f"There is no file {path}.", hint="Check --labels.") from None
    except (UnicodeDecodeError, IsADirectoryError) as error:
        raise InvalidInput(f"{path} is no CSV file of UTF-8 text.", hint=_HINT) from error
    rows = [[cell.strip() for cell in row] for row in csv.reader(text.splitlines()) if row]
    short = [row for row in rows if len(row) < _COLUMNS]
    if len(rows) < _COLUMNS or short:
        which = f"its line {','.join(short[0])!r} has one column" if short else "it has no row"
        raise InvalidInput(f"{path} does not say what is right: {which}.", hint=_HINT)
    return {row[0]: tuple(row[1:]) for row in rows[1:]}


def class_index(text: str, labels: Sequence[str], name: str) -> int:
    """The class that `text` names: a label, or a number. Raise InvalidInput for neither."""
    if text in labels:
        return labels.index(text)
    if text.isascii() and text.isdigit():
        return int(text)
    shown = ", ".join(labels[:5]) + (", …" if len(labels) > 5 else "")  # noqa: PLR2004 - enough to see
    raise InvalidInput(
        f"{name} is a {text!r}, which is no class of the model.",
        why=f"Its classes are {shown}." if labels else "It has no labels, so classes are numbers.",
        hint="Correct the file of --labels, or import the model with its own labels.",
    )


def values(cells: Sequence[str], name: str) -> list[float]:
    """The numbers beside a file's name. Raise InvalidInput for anything else."""
    try:
        return [float(cell) for cell in cells]
    except ValueError:
        raise InvalidInput(
            f"{name} is {', '.join(cells)!r} in the file of --labels, which is no number.",
            hint=_HINT,
        ) from None
