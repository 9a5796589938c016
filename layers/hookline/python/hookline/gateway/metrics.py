"""The gateway's numbers as Prometheus reads them, and to whom they are told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from hookline.core.errors import Forbidden, Unauthenticated
from hookline.core.exposition import Family, Sample, exposition
from hookline.core.ports import Catalog
from hookline.core.records import PLATFORM, Credential
from hookline.core.secrets import digest, same
from hookline.gateway.load import Lane

_HISTOGRAMS = {
    "request": "Time from a request's head to its answer.",
    "gateway": "Time of a request outside its replica.",
    "queue": "Time that a request waited in its replica for a batch.",
    "preprocess": "Time that a request's batch was preprocessed.",
    "predict": "Time that the model ran for a request's batch.",
    "postprocess": "Time that a request's batch was postprocessed.",
}


def tenant_of_admin(catalog: Catalog, key: str, now: float) -> str:
    """The tenant whose numbers may be told to who has `key`. Raise what refuses it."""
    sha256 = digest(key)
    found = catalog.get(Credential, PLATFORM, sha256)
    is_key = found is not None and same(found.sha256, sha256) and found.stream_id is None
    if found is None or not is_key or (found.expires_at is not None and found.expires_at <= now):
        raise Unauthenticated(
            "Metrics take the API key of an admin.",
            hint="Send it as `Authorization: Bearer hk_…`; `hookline key create` makes one.",
        )
    if found.role != "admin":
        raise Forbidden(f"{found.user} may not read metrics.", why="It takes the role admin.")
    return found.owner


def text(lanes: Iterable[Lane], refused: Mapping[int, int]) -> str:
    """All there is to tell of these streams. `refused`: answers to callers of no stream."""
    return exposition(_families(list(lanes), refused))


def _families(lanes: Sequence[Lane], refused: Mapping[int, int]) -> Iterator[Family]:
    yield Family(
        "hookline_gateway_refused_total",
        "counter",
        "Requests refused before their stream was known, by status.",
        [Sample("", {"status": str(status)}, count) for status, count in sorted(refused.items())],
    )
    yield Family(
        "hookline_stream_requests_total",
        "counter",
        "Requests answered, by status.",
        [
            Sample("", {**_labels(lane), "status": str(status)}, count)
            for lane in lanes
            for status, count in sorted(lane.traffic.statuses.items())
        ],
    )
    yield Family(
        "hookline_stream_requests_in_flight",
        "gauge",
        "Requests that replicas are answering.",
        [Sample("", _labels(lane), lane.meter.in_flight) for lane in lanes],
    )
    yield Family(
        "hookline_stream_requests_held",
        "gauge",
        "Requests that wait for the stream's first replica.",
        [Sample("", _labels(lane), lane.meter.waiting) for lane in lanes],
    )
    for name, about in _HISTOGRAMS.items():
        yield _histogram(f"hookline_stream_{name}_seconds", about, name, lanes)
    yield _histogram(
        "hookline_stream_batch_items", "Requests in a request's batch.", "batch", lanes
    )


def _histogram(name: str, about: str, tally: str, lanes: Sequence[Lane]) -> Family:
    found = [(_labels(lane), getattr(lane.traffic, tally)) for lane in lanes]
    series = [(labels, one.counts, one.total) for labels, one in found]
    bounds = found[0][1].bounds if found else ()
    return Family.histogram(name, about, bounds, series)


def _labels(lane: Lane) -> dict[str, str]:
    return {"tenant": lane.tenant, "stream": str(lane.stream_id)}
