"""What gateways have told of a stream's traffic, put together."""

from __future__ import annotations

from collections import Counter

from hookline.control.listing import every
from hookline.core.loads import TRAFFIC_S, Traffic, seconds_of
from hookline.core.ports import Ports
from hookline.core.records import Stream, number
from hookline.core.views.streams import TrafficView

BELIEVED_S = 3 * TRAFFIC_S


def shown(ports: Ports, stream: Stream, ready_replicas: int) -> TrafficView:
    """The traffic of late, all gateways together; zeros where there was none."""
    oldest = ports.clock() - BELIEVED_S
    told = every(ports, Traffic, stream.tenant, f"{number(stream.id)}/")
    fresh = [one for one in told if one.updated_at > oldest]
    recent = [one.recent for one in fresh]
    latencies: Counter[int] = Counter()
    for one in recent:
        latencies.update(dict(one.latencies))
    timed = sum(one.timed for one in recent)
    return TrafficView(
        id=stream.id,
        status=stream.status,
        requests_per_s=round(sum(one.answered / one.span_s for one in recent), 2),
        failed_per_s=round(sum(one.failed / one.span_s for one in recent), 2),
        p50_ms=percentile_ms(latencies, 50),
        p99_ms=percentile_ms(latencies, 99),
        queue_ms=round(sum(one.queue_ms for one in recent) / timed, 3) if timed else None,
        batch_items=round(sum(one.batch_items for one in recent) / timed, 2) if timed else None,
        in_flight=sum(one.in_flight for one in recent),
        held=sum(one.waiting for one in recent),
        replicas=stream.replicas,
        ready_replicas=ready_replicas,
    )


def percentile_ms(latencies: Counter[int], percent: int) -> float | None:
    """The latency that `percent` of the requests do not exceed, within 5 %."""
    rank = -(-sum(latencies.values()) * percent // 100)
    for bucket in sorted(latencies):
        rank -= latencies[bucket]
        if rank <= 0:
            return round(1000 * seconds_of(bucket), 3)
    return None
