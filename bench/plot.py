"""A bar chart as SVG, written by hand: a bench needs no plotting library for one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

_COLOURS = (
    "#4c78a8", "#f58518", "#e45756", "#72b7b2", "#54a24b",
    "#eeca3b", "#b279a2", "#ff9da6", "#9d755d", "#bab0ac",
)  # fmt: skip
_WIDTH, _HEIGHT, _LEFT, _TOP, _ROW = 960, 420, 70, 40, 18


def bars(title: str, groups: Sequence[str], series: Mapping[str, Sequence[float]]) -> str:
    """A group of bars for each of `groups`, one bar of each series; the scale is logarithmic."""
    values = [value for row in series.values() for value in row if value > 0]
    low = math.floor(math.log10(min(values, default=1)))
    high = max(math.ceil(math.log10(max(values, default=10))), low + 1)
    bottom = _TOP + _HEIGHT

    def y(value: float) -> float:
        return bottom - _HEIGHT * (math.log10(value) - low) / (high - low)

    parts = [_text(_LEFT, 22, title, size=15)]
    for power in range(low, high + 1):
        level = y(10**power)
        parts.append(f'<path d="M{_LEFT} {level:.1f}H{_WIDTH}" stroke="#ddd"/>')
        parts.append(_text(_LEFT - 6, level + 4, f"{10**power:,g}", anchor="end"))
    wide = (_WIDTH - _LEFT) / len(groups)
    each = 0.86 * wide / len(series)
    for place, group in enumerate(groups):
        left = _LEFT + place * wide + 0.07 * wide
        parts.append(_text(left + 0.43 * wide, bottom + 18, group, anchor="middle"))
        for number, row in enumerate(series.values()):
            if row[place] > 0:
                top = y(row[place])
                parts.append(
                    f'<rect x="{left + number * each:.1f}" y="{top:.1f}" width="{each * 0.9:.1f}" '
                    f'height="{bottom - top:.1f}" fill="{_COLOURS[number % len(_COLOURS)]}"/>'
                )
    for number, name in enumerate(series):
        x, level = _LEFT + 300 * (number % 3), bottom + 40 + _ROW * (number // 3)
        colour = _COLOURS[number % len(_COLOURS)]
        parts.append(f'<rect x="{x}" y="{level - 10}" width="11" height="11" fill="{colour}"/>')
        parts.append(_text(x + 16, level, name))
    height = bottom + 50 + _ROW * math.ceil(len(series) / 3)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH + 10} {height}" '
        f'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>'
        f"{''.join(parts)}</svg>\n"
    )


def _text(x: float, y: float, text: str, *, anchor: str = "start", size: int = 12) -> str:
    return (
        f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" font-size="{size}">'
        f"{escape(text)}</text>"
    )
