"""Results as one HTML file that needs nothing else: a table and two plots, drawn as SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape

from hookline.bench import report
from hookline.bench.results import Level

_WIDTH, _HEIGHT = 640.0, 320.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 64.0, 16.0, 16.0, 44.0
_TICKS = 5
_COLOURS = ("#2563eb", "#dc2626", "#059669", "#d97706", "#7c3aed", "#0891b2", "#be185d", "#4d7c0f")
_CURVE = (0, 10, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 99.95, 99.99)
_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid #8886; }
svg { max-width: 100%; height: auto; font-size: 12px; }
figure { margin: 2rem 0; }
svg text { fill: currentColor; }
"""

Point = tuple[float, float]
Line = tuple[str, Sequence[Point]]
Scale = Callable[[float], float]


def page(title: str, settings: Mapping[str, str], levels: Sequence[Level]) -> str:
    """The whole file."""
    kind = "rate" if levels and levels[0].is_open else "concurrency"
    notes = [f"{kind} {level.load:g}: {note}" for level in levels for note in level.notes]
    basis = (
        "Latencies count from when each request was due."
        if kind == "rate"
        else "Latencies count from when each request was sent; corrected ones include the requests "
        "that a waiting connection left out, one for each median latency."
    )
    parts = [
        f"<h1>{escape(title)}</h1>",
        _table(report.rows(levels)),
        f"<p>{basis}</p>",
        "".join(f"<p>⚠ {escape(note)}</p>" for note in notes),
        _figure("Latency in ms by percentile", _percentiles(levels, kind)),
        _figure("Latency in ms by requests per second", _throughput(levels)),
        _table([{"setting": name, "value": value} for name, value in settings.items()]),
    ]
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
    body = "".join(parts)
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>{body}</body></html>\n'


def _table(rows: Sequence[Mapping[str, str]]) -> str:
    if not rows:
        return ""
    head = "".join(f"<th>{escape(name)}</th>" for name in rows[0])
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row.values()) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _figure(title: str, drawing: str) -> str:
    return f"<figure><figcaption>{escape(title)}</figcaption>{drawing}</figure>"


def _percentiles(levels: Sequence[Level], kind: str) -> str:
    """Evenly spaced nines: 90 %, 99 %, 99.9 % are as far from each other."""
    lines = [
        (
            f"{kind} {level.load:g}",
            [(_nines(percent), level.percentile_ms(percent)) for percent in _CURVE],
        )
        for level in levels
        if len(level.latencies_ms)
    ]
    labels = {_nines(percent): f"{percent:g} %" for percent in (0, 50, 90, 99, 99.9, 99.99)}
    return _plot(lines, labels)


def _throughput(levels: Sequence[Level]) -> str:
    by_rate = sorted((each for each in levels if len(each.latencies_ms)), key=lambda one: one.per_s)
    lines = [
        (f"p{percent}", [(level.per_s, level.percentile_ms(percent)) for level in by_rate])
        for percent in (50, 90, 99)
    ]
    most = max((level.per_s for level in by_rate), default=1.0)
    labels = {most * at / _TICKS: f"{most * at / _TICKS:,.0f}" for at in range(_TICKS + 1)}
    return _plot(lines, labels)


def _nines(percent: float) -> float:
    return -math.log10(1 - percent / 100)


def _plot(lines: Sequence[Line], labels: Mapping[float, str]) -> str:
    """Lines over a linear x axis with `labels`, and a logarithmic y axis of milliseconds."""
    values = [y for _, points in lines for _, y in points if y > 0] or [1.0]
    low = math.floor(math.log10(min(values)))
    high = max(low + 1, math.ceil(math.log10(max(values))))
    right = max(labels) or 1.0

    def across(x: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * x / right

    def up(y: float) -> float:
        share = (math.log10(max(y, 10.0**low)) - low) / (high - low)
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * share

    marks = [_grid_line(up(10.0**power), f"{10.0**power:g}") for power in range(low, high + 1)]
    marks += [
        f'<text x="{across(x):.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{text}</text>'
        for x, text in labels.items()
    ]
    for at, (name, points) in enumerate(lines):
        marks.append(_drawn(name, points, at, (across, up)))
    height = _HEIGHT + 18 * (len(lines) // 4 + 1)
    return f'<svg viewBox="0 0 {_WIDTH:g} {height:g}">{"".join(marks)}</svg>'


def _grid_line(y: float, text: str) -> str:
    return (
        f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#8884"/>'
        f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{text}</text>'
    )


def _drawn(name: str, points: Sequence[Point], at: int, scales: tuple[Scale, Scale]) -> str:
    across, up = scales
    colour = _COLOURS[at % len(_COLOURS)]
    path = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in points)
    dots = "".join(
        f'<circle cx="{across(x):.1f}" cy="{up(y):.1f}" r="2.5" fill="{colour}">'
        f"<title>{escape(name)}: {y:.3f} ms</title></circle>"
        for x, y in points
    )
    x, y = _LEFT + 140 * (at % 4), _HEIGHT + 14 * (at // 4)
    line = f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
    mark = f'<circle cx="{x}" cy="{y - 4}" r="4" fill="{colour}"/>'
    return f'{line}{dots}{mark}<text x="{x + 10}" y="{y}">{escape(name)}</text>'
