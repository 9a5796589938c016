from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.core.errors import Forbidden, HooklineError, Unauthenticated
from hookline.core.loads import TRAFFIC_S, bucket_of, seconds_of
from hookline.core.loads import Traffic as Told
from hookline.core.ports import Ports
from hookline.core.records import Credential
from hookline.core.secrets import digest
from hookline.core.timing import Timing
from hookline.gateway import metrics
from hookline.gateway.load import KEEP_S, Lane
from hookline.gateway.reporter import Reporter
from hookline.gateway.routing import RoutingTable
from hookline.gateway.teller import Teller
from hookline.gateway.traffic import GONE, Traffic
from tests.fakes import FakeClock
from tests.prometheus import labels, parsed

TIMING = Timing(1.0, 2.0, 3.0, 4.0, batch_items=8, gateway_ms=0.5)


@given(st.floats(1e-5, 1000))
def test_a_latency_is_known_within_five_percent(seconds: float) -> None:
    assert abs(seconds_of(bucket_of(seconds)) / seconds - 1) < 0.05


def test_what_was_answered_of_late_is_told_once_and_nothing_while_idle() -> None:
    timer = FakeClock(0)
    traffic = Traffic(timer)
    timer.advance(100)
    assert traffic.recent(0, 0) is None  # which is where the next span begins
    for status in (200, 200, 503):
        traffic.note(status, 0.01, TIMING if status == 200 else None)
    timer.advance(TRAFFIC_S / 2)
    assert traffic.recent(1, 0) is None
    timer.advance(TRAFFIC_S / 2)

    told = traffic.recent(1, 2)
    assert told is not None
    assert (told.span_s, told.answered, told.failed) == (TRAFFIC_S, 3, 1)
    assert (told.in_flight, told.waiting, told.latencies) == (1, 2, ((bucket_of(0.01), 3),))
    assert (told.timed, told.queue_ms, told.batch_items) == (2, 2.0, 16)
    timer.advance(TRAFFIC_S)
    assert traffic.recent(0, 0) is None


def test_metrics_have_each_stream_and_what_no_stream_was_asked_for() -> None:
    lane = Lane("acme", 7)
    lane.meter.begin()
    lane.meter.waiting = 2
    lane.traffic.note(200, 0.012, TIMING)
    lane.traffic.note(GONE, 0.2, None)
    found = parsed(metrics.text([lane, Lane("acme", 8)], {401: 3}))

    seven, eight = ({"tenant": "acme", "stream": id_} for id_ in ("7", "8"))
    assert found["hookline_gateway_refused_total"] == {labels(status="401"): 3}
    assert found["hookline_stream_requests_total"] == {
        labels(**seven, status="200"): 1,
        labels(**seven, status="499"): 1,
    }
    assert found["hookline_stream_requests_in_flight"][labels(**seven)] == 1
    assert found["hookline_stream_requests_held"][labels(**seven)] == 2
    for name, seconds in (("queue", 0.001), ("predict", 0.003), ("gateway", 0.0005)):
        assert found[f"hookline_stream_{name}_seconds_sum"][labels(**seven)] == seconds
        assert found[f"hookline_stream_{name}_seconds_count"][labels(**eight)] == 0
    assert found["hookline_stream_request_seconds_count"][labels(**seven)] == 2
    assert found["hookline_stream_batch_items_sum"][labels(**seven)] == 8


def test_metrics_without_a_stream_are_metrics() -> None:
    assert "hookline_gateway_refused_total" not in parsed(metrics.text([], {}))


def credential(key: str, role: str, expires_at: float | None = None) -> Credential:
    return Credential(
        sha256=digest(key),
        owner="acme",
        user="ada",
        role=role,  # type: ignore[arg-type]  # one of a test's own
        created_at=0.0,
        expires_at=expires_at,
    )


def test_an_admin_may_read_metrics_of_the_own_tenant(ports: Ports) -> None:
    ports.catalog.put(credential("hk_a", "admin"))
    assert RoutingTable(ports.catalog).tenant_of_admin("hk_a") == "acme"


@pytest.mark.parametrize("key", ["", "hk_user", "hk_old", "stream-token", "hk_unknown"])
def test_nobody_else_may(ports: Ports, clock: FakeClock, key: str) -> None:
    for one in (
        credential("hk_user", "user"),
        credential("hk_old", "admin", clock() - 1),
        credential("stream-token", "admin").changed(stream_id=7),
    ):
        ports.catalog.put(one)
    refused = Forbidden if key == "hk_user" else Unauthenticated
    with pytest.raises(refused):
        metrics.tenant_of_admin(ports.catalog, key, clock())


def test_a_stream_that_was_used_of_late_goes_on_counting() -> None:
    reporter, lane = Reporter(count=lambda *_: None), Lane("a", 7)
    lanes = {("a", 7): lane}
    lane.traffic.note(200, 0.1, None)
    for _ in range(3):
        reporter.count(lanes)
    assert lanes == {("a", 7): lane}
    lane.traffic.used_at -= KEEP_S
    reporter.count(lanes)
    assert lanes == {}


def test_the_traffic_of_a_stream_is_one_record_of_each_gateway(ports: Ports) -> None:
    timer = FakeClock(0)
    traffic = Traffic(timer)
    teller = Teller(ports.catalog, ports.queue, ports.clock)
    for expected in (1, 2):
        traffic.note(200, 0.1, None)
        timer.advance(TRAFFIC_S)
        recent = traffic.recent(expected, 0)
        assert recent is not None
        teller.tell_traffic("a", 7, recent)
        [told] = ports.catalog.query(Told, "a").items
        assert (told.stream_id, told.recent) == (7, recent)


def test_a_catalog_that_fails_costs_the_traffic_alone(ports: Ports) -> None:
    class Full:
        def put(self, _record: object) -> object:
            raise HooklineError("no room")

    full: object = Full()
    teller = Teller(full, ports.queue, ports.clock)  # type: ignore[arg-type]  # nothing else is called
    timer = FakeClock(0)
    traffic = Traffic(timer)
    traffic.note(200, 0.1, None)
    timer.advance(TRAFFIC_S)
    recent = traffic.recent(0, 0)
    assert recent is not None
    teller.tell_traffic("a", 7, recent)
