from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from hookline.control.silence import FORGOTTEN_S
from hookline.control.traffic import BELIEVED_S, percentile_ms
from hookline.core.loads import Recent, Traffic, bucket_of
from hookline.core.ports import Ports
from hookline.core.records import Serving, Stream
from tests.fakes import FakeClock
from tests.unit.control.events import Plane


def tell(ports: Ports, gateway_id: str, stream_id: int = 1, **recent: Any) -> None:
    fields = {"span_s": 5.0, "answered": 0, "failed": 0, "in_flight": 0, "waiting": 0} | recent
    ports.catalog.put(
        Traffic(
            tenant="a",
            stream_id=stream_id,
            gateway_id=gateway_id,
            recent=Recent(**fields),
            updated_at=ports.clock(),
        )
    )


@pytest.fixture
def stream(ports: Ports) -> None:
    ports.catalog.put(
        Stream(
            tenant="a",
            id=1,
            model_id=1,
            serving=Serving(),
            status="Running",
            replicas=2,
            created_at=0.0,
            updated_at=0.0,
        )
    )


QUIET = {
    "id": 1,
    "status": "Running",
    "requests_per_s": 0.0,
    "failed_per_s": 0.0,
    "p50_ms": None,
    "p99_ms": None,
    "queue_ms": None,
    "batch_items": None,
    "in_flight": 0,
    "held": 0,
    "replicas": 2,
    "ready_replicas": 0,
}


@pytest.mark.usefixtures("stream")
def test_a_stream_that_nobody_asks_has_no_traffic(plane: Plane) -> None:
    assert plane.shown("/v1/streams/1/traffic") == QUIET


@pytest.mark.usefixtures("stream")
def test_the_traffic_is_that_of_all_gateways(plane: Plane, ports: Ports) -> None:
    fast, slow = bucket_of(0.01), bucket_of(0.64)
    tell(ports, "g1", answered=100, latencies=((fast, 100),), in_flight=3, timed=100, queue_ms=50.0)
    tell(
        ports,
        "g2",
        span_s=10.0,
        answered=100,
        failed=10,
        latencies=((fast, 90), (slow, 10)),
        waiting=2,
        timed=100,
        queue_ms=150.0,
        batch_items=400,
    )
    tell(ports, "g1", stream_id=2, answered=1000)

    assert plane.shown("/v1/streams/1/traffic") == QUIET | {
        "requests_per_s": 30.0,
        "failed_per_s": 1.0,
        "p50_ms": pytest.approx(10, rel=0.05),
        "p99_ms": pytest.approx(640, rel=0.05),
        "queue_ms": 1.0,
        "batch_items": 2.0,
        "in_flight": 3,
        "held": 2,
    }


@pytest.mark.usefixtures("stream")
def test_a_gateway_that_is_silent_is_not_believed_and_then_forgotten(
    plane: Plane, ports: Ports, clock: FakeClock
) -> None:
    tell(ports, "g1", answered=100)
    clock.advance(BELIEVED_S)
    assert plane.shown("/v1/streams/1/traffic") == QUIET
    reconcile(plane)
    assert len(ports.catalog.query(Traffic, "a").items) == 1
    clock.advance(FORGOTTEN_S)
    reconcile(plane)
    assert not ports.catalog.query(Traffic, "a").items


def reconcile(plane: Plane) -> None:
    plane.handler("reconcile")({"detail-type": "Scheduled Event"}, None)


def test_percentiles_are_by_rank() -> None:
    hundred = Counter({bucket_of(each / 1000): 1 for each in (1, 2, 4, 8)})
    assert percentile_ms(hundred, 50) == pytest.approx(2, rel=0.05)
    assert percentile_ms(hundred, 51) == pytest.approx(4, rel=0.05)
    assert percentile_ms(hundred, 100) == pytest.approx(8, rel=0.05)
