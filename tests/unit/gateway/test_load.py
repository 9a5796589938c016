from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Sequence
from io import StringIO

import pytest

from hookline.core.errors import Unavailable
from hookline.core.loads import LOAD_RENEW_S, Load
from hookline.core.ports import Ports
from hookline.core.records import Record
from hookline.core.topology import RECONCILE
from hookline.gateway import reporter as reporter_module
from hookline.gateway.emf import emf, print_emf
from hookline.gateway.load import Lane, Meter, Numbers, Report, Told
from hookline.gateway.reporter import Reporter
from hookline.gateway.teller import Teller
from tests.fakes import FakeClock

URGENT = Report("a", 7, 3.0, 1, is_urgent=True)
CALM = Report("a", 7, 2.0, 0, is_urgent=False)


def loads(ports: Ports) -> list[tuple[float, int, int]]:
    return [(o.in_flight, o.waiting, o.version) for o in ports.catalog.query(Load, "a").items]


def messages(ports: Ports) -> list[object]:
    return [json.loads(one.body) for one in ports.queue.receive(RECONCILE, 10, lease_s=60)]


def test_the_mean_is_weighted_by_time() -> None:
    timer = FakeClock(0)
    meter = Meter(timer)
    meter.begin()
    timer.advance(1)
    meter.begin()
    timer.advance(2)
    meter.end()
    meter.end()
    timer.advance(1)

    assert meter.mean() == (1 * 1 + 2 * 2) / 4
    timer.advance(1)
    assert meter.mean() == 0


def test_a_rise_is_told_at_once_and_a_steady_load_now_and_then() -> None:
    told = Told()

    assert told.news(4, 0) == "risen"
    assert [told.news(load, at) for at, load in enumerate((4, 4.8, 3), 2)] == ["", "", ""]
    assert (told.news(3, LOAD_RENEW_S), told.value) == ("renewed", 4.8)
    assert told.news(6, LOAD_RENEW_S + 2) == "risen"
    assert [told.news(0, at) for at in (22.0, 32.0, 60.0)] == ["", "", ""]


def test_a_stream_whose_number_is_fixed_is_not_told() -> None:
    lane = Lane("a", 7)
    lane.meter.begin()

    assert lane.report(0) is None
    lane.is_elastic = True
    assert lane.report(1) is not None


def test_a_request_that_waits_is_urgent_as_often_as_it_is_told() -> None:
    lane = Lane("a", 7)
    lane.is_elastic = True
    lane.meter.waiting = 2

    first, none, second = (lane.report(at) for at in (0.0, 2.0, 2.0 + LOAD_RENEW_S))
    assert first == Report("a", 7, 0.0, 2, is_urgent=True)
    assert (none, second) == (None, first)


def test_a_load_is_one_record_and_a_message_when_it_is_urgent(ports: Ports) -> None:
    teller = Teller(ports.catalog, ports.queue, ports.clock)
    teller.tell([CALM])
    assert messages(ports) == []
    teller.tell([URGENT])

    assert loads(ports) == [(3.0, 1, 2)]
    assert messages(ports) == [{"tenant": "a", "stream_id": 7}]


def test_a_load_that_the_reconciler_removed_is_written_again(ports: Ports) -> None:
    teller = Teller(ports.catalog, ports.queue, ports.clock)
    for _ in range(2):
        teller.tell([CALM])
        [load] = ports.catalog.query(Load, "a").items
        ports.catalog.delete(load)
    teller.tell([URGENT])

    assert loads(ports) == [(3.0, 1, 1)]


def test_two_gateways_have_a_record_each(ports: Ports) -> None:
    for _ in range(2):
        Teller(ports.catalog, ports.queue, ports.clock).tell([CALM])

    assert len(loads(ports)) == 2


def test_a_catalog_that_fails_stops_neither_the_others_nor_the_gateway(ports: Ports) -> None:
    class Full:
        def put(self, record: Record) -> Record:
            if isinstance(record, Load) and record.stream_id == 7:
                raise Unavailable("no room")
            return ports.catalog.put(record)

        def __getattr__(self, name: str) -> object:
            return getattr(ports.catalog, name)

    full: object = Full()
    teller = Teller(full, ports.queue, ports.clock)  # type: ignore[arg-type]  # all but put is real
    teller.tell([CALM, Report("a", 8, 1.0, 0, is_urgent=True)])

    assert len(loads(ports)) == 1
    assert messages(ports) == [{"tenant": "a", "stream_id": 8}]


def test_numbers_are_counted_once_and_idle_streams_forgotten() -> None:
    counted: list[Sequence[Numbers]] = []
    reporter = Reporter(count=lambda numbers, _now: counted.append(numbers))
    lane = Lane("a", 7)
    lane.answered, lane.failed, lane.unserved = 3, 1, 2
    lanes = {("a", 7): lane}
    for _ in range(3):
        reporter.count(lanes)

    assert counted == [[Numbers("a", 7, 0.0, 3, 1, 2)]]
    assert lanes == {}


class Loud(Teller):
    """Says when it has told something."""

    told = threading.Event()

    def tell(self, reports: Sequence[Report]) -> None:
        super().tell(reports)
        self.told.set()


def test_haste_is_reported_at_once(ports: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporter_module, "TICK_S", 3600.0)

    async def go() -> None:
        lane = Lane("a", 7)
        lane.is_elastic, lane.meter.waiting = True, 1
        teller = Loud(ports.catalog, ports.queue, ports.clock)
        reporter = Reporter(teller)
        reporter.hurry()
        pulse = asyncio.create_task(reporter.run({("a", 7): lane}, lambda: None))
        assert await asyncio.to_thread(teller.told.wait, 60)  # less than a tick
        pulse.cancel()

    asyncio.run(go())
    assert len(loads(ports)) == 1


def test_numbers_become_a_line_that_cloudwatch_reads() -> None:
    line = json.loads(emf(Numbers("acme", 7, 1.5, 30, 2, 4), 1_700_000_000.25))

    [directive] = line["_aws"]["CloudWatchMetrics"]
    assert line["_aws"]["Timestamp"] == 1_700_000_000_250
    assert directive["Namespace"] == "hookline"
    assert directive["Dimensions"] == [["tenant"], ["tenant", "stream"]]
    names = [metric["Name"] for metric in directive["Metrics"]]
    assert [line[name] for name in names] == [1.5, 30, 2, 4]
    assert (line["tenant"], line["stream"]) == ("acme", "7")


def test_each_stream_has_its_line() -> None:
    target = StringIO()
    print_emf([Numbers("a", n, 0.0, 1, 0, 0) for n in (1, 2)], 0.0, target)

    assert [json.loads(line)["stream"] for line in target.getvalue().splitlines()] == ["1", "2"]
