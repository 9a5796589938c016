"""Draws a confusion matrix as a PNG: rows are what it was, columns what was answered."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

MOST_NUMBERED, MOST_PIXELS = 40, 1600
_CELL, _MARGIN, _LONGEST = 34, 90, 12
_INK, _PAPER = (20, 24, 32), (255, 255, 255)
_DARK = np.array([8, 81, 156])  # of a row whose every example was answered so
Array = np.ndarray[Any, Any]


def draw(matrix: Array, labels: Sequence[str], path: Path) -> None:
    """Write the picture of a matrix int [C, C]; numbers and names where there is room for them."""
    count = len(matrix)
    is_numbered = count <= MOST_NUMBERED
    cell = _CELL if is_numbered else max(1, MOST_PIXELS // count)
    margin = _MARGIN if is_numbered else 0
    side = margin + cell * count + 1
    image = Image.new("RGB", (side, side), _PAPER)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    pixels = (255 - shares[..., None] * (255 - _DARK)).astype(np.uint8)
    grown = np.kron(pixels, np.ones((cell, cell, 1), np.uint8))
    image.paste(Image.fromarray(grown), (margin, margin))
    if is_numbered:
        _write(ImageDraw.Draw(image), matrix, shares, labels)
    image.save(path, "PNG", optimize=True)


def _write(pen: ImageDraw.ImageDraw, matrix: Array, shares: Array, labels: Sequence[str]) -> None:
    font = ImageFont.load_default()
    names = [_name(labels, at) for at in range(len(matrix))]
    pen.text((4, 4), "rows: truth\ncolumns: answer", _INK, font)
    for at, name in enumerate(names):
        middle = _MARGIN + at * _CELL + _CELL // 2
        pen.text((_MARGIN - 6, middle), name, _INK, font, anchor="rm")
        pen.text((middle, _MARGIN - 8 - 10 * (at % 2)), name[: _LONGEST // 2], _INK, font, "mm")
    for row, column in np.argwhere(matrix):
        place = (_MARGIN + column * _CELL + _CELL // 2, _MARGIN + row * _CELL + _CELL // 2)
        ink = _PAPER if shares[row, column] > 1 / 2 else _INK
        pen.text(place, str(matrix[row, column]), ink, font, anchor="mm")


def _name(labels: Sequence[str], at: int) -> str:
    name = labels[at] if at < len(labels) else str(at)
    return name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"
