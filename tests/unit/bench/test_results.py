from __future__ import annotations

import csv
import io
import json
import re
from array import array
from collections import Counter
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from hookline.bench import report
from hookline.bench.load import Seen
from hookline.bench.page import page
from hookline.bench.results import Level, Window, corrected, is_stable
from hookline.core.timing import Timing


def window(*latencies_s: float, seconds: float = 1.0, busy: float = 0.1, failed: int = 0) -> Window:
    statuses = Counter({200: len(latencies_s), 503: failed})
    seen = Seen(0.0, array("d", latencies_s), +statuses, [Timing(1, 2, 3, 4, 8)])
    return Window(seconds, seen, busy)


def level(*windows: Window, load: float = 4, is_open: bool = False, stable: bool = True) -> Level:
    return Level.of(is_open=is_open, load=load, windows=windows, stable=stable)


def test_windows_agree_in_rate_and_latency_or_are_not_stable() -> None:
    calm, slow, busy = window(0.01, 0.01), window(0.02, 0.02), window(0.01, 0.01, 0.01)
    assert is_stable([slow, calm, calm, calm], 0.1, None)
    assert not is_stable([calm, calm], 0.1, None)
    assert not is_stable([calm, calm, slow], 0.1, None)
    assert not is_stable([calm, calm, busy], 0.1, None)
    assert not is_stable([calm, calm, window()], 0.1, None)
    tail = window(*[0.01] * 99, 1.0)
    assert is_stable([tail, window(*[0.01] * 100), tail], 0.1, 50)
    assert not is_stable([tail, window(*[0.01] * 100), tail], 0.1, 100)


def test_a_stall_is_seen_by_those_who_would_have_asked_meanwhile() -> None:
    fixed = corrected(np.array([1.0, 1.0, 1.0, 1.0, 10.0]))
    assert fixed.tolist() == [1.0] * 4 + [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0]
    even = np.array([1.0, 1.2, 1.9])
    assert corrected(even).tolist() == even.tolist()
    assert corrected(np.array([])).tolist() == []
    assert corrected(np.array([0.0, 0.0])).tolist() == [0.0, 0.0]


def test_a_level_adds_its_windows_up() -> None:
    found = level(window(0.001, 0.003), window(0.002, seconds=2.0, failed=2))
    assert (found.seconds, found.per_s, found.failed) == (3.0, 1.0, 2)
    assert (found.percentile_ms(50), found.mean_ms) == (2.0, 2.0)
    assert (found.stage_ms("predict"), found.batch_items) == (3.0, 8.0)


@pytest.mark.parametrize(
    ("found", "note"),
    [
        (level(window(0.1), stable=False), "not stable"),
        (level(window(0.1, busy=0.95)), "generator itself"),
        (level(window(0.1), load=100, is_open=True), "did not keep up with 100/s"),
        (level(window(0.1, failed=3)), "3 × 503"),
    ],
)
def test_what_makes_numbers_doubtful_is_noted(found: Level, note: str) -> None:
    assert note in " ".join(found.notes)
    assert not level(window(0.1)).notes


def test_an_open_loop_needs_no_correction_and_has_none() -> None:
    found = level(window(*[0.001] * 9, 1.0), is_open=True, load=10)
    assert not [name for name in found.as_json() if "corrected" in name]
    closed = level(window(*[0.001] * 9, 1.0)).as_json()
    assert closed["corrected_p50_ms"] > closed["p50_ms"]


def test_a_level_without_an_answer_is_zeros() -> None:
    found = level(window(failed=1))
    assert found.as_json()["p99_ms"] == found.as_json()["max_ms"] == 0.0
    assert json.dumps(found.as_json())
    assert page("t", {}, [found])


def test_the_csv_has_the_columns_and_units_of_perf_analyzer() -> None:
    fast, slow = level(window(*[0.02] * 30), load=8), level(window(*[0.012] * 10), load=1)
    head, *rows = csv.reader(io.StringIO(report.perf_analyzer_csv([fast, slow])))
    assert head == [
        "Concurrency",
        "Inferences/Second",
        "Client Send",
        "Network+Server Send/Recv",
        "Server Queue",
        "Server Compute Input",
        "Server Compute Infer",
        "Server Compute Output",
        "Client Recv",
        "p50 latency",
        "p90 latency",
        "p95 latency",
        "p99 latency",
    ]
    row = ",".join(rows[0])
    assert row == "1,10.0000,0,2000,1000,2000,3000,4000,0,12000,12000,12000,12000"
    assert [row[0] for row in rows] == ["1", "8"]
    by_rate = report.perf_analyzer_csv([level(window(0.1), is_open=True)])
    assert by_rate.startswith("Request Rate,")


class Page(HTMLParser):
    """What a page refers to, and the tags that it leaves open."""

    def __init__(self) -> None:
        super().__init__()
        self.references: list[str] = []
        self.tags: Counter[str] = Counter()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.references += [value or "" for name, value in attrs if name in ("src", "href")]


def test_the_page_needs_nothing_from_elsewhere_and_its_plots_are_svg() -> None:
    levels = [level(window(*[0.001 * n] * 10), load=n) for n in (1, 2, 4)]
    text = page("<script>alert(1)</script>", {"target": "<b>"}, levels)
    found = Page()
    found.feed(text)
    assert found.references == []
    assert not found.tags["script"]
    plots = [ET.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL)]
    assert [len(plot.findall("polyline")) for plot in plots] == [3, 3]
    for line in (line for plot in plots for line in plot.findall("polyline")):
        points = [tuple(map(float, point.split(","))) for point in line.attrib["points"].split()]
        assert all(0 <= x <= 640 and 0 <= y <= 320 for x, y in points)
    assert found.tags["tr"] == 1 + len(levels) + 2
