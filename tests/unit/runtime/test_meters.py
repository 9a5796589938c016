from __future__ import annotations

import os
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from hookline.core.exposition import SECONDS
from hookline.runtime.items import Laps
from hookline.runtime.meters import GONE, Meters, shared
from tests.prometheus import labels, parsed


@dataclass
class Ticket:
    arrived_s: float


def laps(items: int = 1, began_s: float = 100.0) -> Laps:
    return Laps(items, began_s, began_s + 0.002, began_s + 0.022, began_s + 0.0221)


def bucket(text: str, name: str, le: str) -> float:
    return parsed(text)[f"hookline_{name}_bucket"][labels(le=le)]


def test_a_batch_is_counted_stage_by_stage() -> None:
    meters = Meters.alone()
    meters.ran([Ticket(99.9), Ticket(99.99), Ticket(99.9999)], laps(3), 100.03)
    text = meters.text({})
    found = parsed(text)
    assert found["hookline_batch_items_bucket"][labels(le="2")] == 0
    assert found["hookline_batch_items_bucket"][labels(le="4")] == 1
    assert found["hookline_batch_items_sum"] == {labels(): 3}
    for name, seconds in (("preprocess", 0.002), ("predict", 0.02), ("postprocess", 0.0001)):
        assert found[f"hookline_{name}_seconds_count"] == {labels(): 1}
        assert abs(found[f"hookline_{name}_seconds_sum"][labels()] - seconds) < 1e-9
    assert found["hookline_queue_seconds_count"] == {labels(): 3}
    assert bucket(text, "queue_seconds", "0.00025") == 1
    assert bucket(text, "queue_seconds", "0.025") == 2
    assert bucket(text, "queue_seconds", "0.25") == 3
    assert abs(found["hookline_request_seconds_sum"][labels()] - 0.2001) < 1e-6


@given(st.lists(st.floats(0, 100), min_size=1, max_size=20))
def test_each_request_is_in_the_bucket_of_its_own_time(waits_s: list[float]) -> None:
    meters = Meters.alone()
    tickets = [Ticket(1000.0 - wait_s) for wait_s in waits_s]
    meters.ran(tickets, laps(len(tickets), 1000.0), 1001.0)
    found = parsed(meters.text({}))["hookline_queue_seconds_bucket"]
    for bound in SECONDS:
        expected = sum(1000.0 - ticket.arrived_s <= bound for ticket in tickets)
        assert found[labels(le=f"{bound:g}")] == expected
    assert found[labels(le="+Inf")] == len(waits_s)


def test_answers_are_counted_by_status_under_the_labels_of_the_process() -> None:
    meters = Meters.alone()
    for status in (200, 200, 503, GONE):
        meters.answered(status)
    found = parsed(meters.text({"tenant": "acme", "stream": "7"}))["hookline_requests_total"]
    assert found == {
        labels(tenant="acme", stream="7", status="200"): 2,
        labels(tenant="acme", stream="7", status="503"): 1,
        labels(tenant="acme", stream="7", status="499"): 1,
    }


def test_what_waits_and_runs_is_asked_for_when_it_is_told() -> None:
    meters = Meters.alone()
    meters.gauges = lambda: (3, 2)
    found = parsed(meters.text({}))
    assert found["hookline_queue_items"] == {labels(): 3}
    assert found["hookline_requests_in_flight"] == {labels(): 5}


def test_one_process_answers_for_all() -> None:
    mine, other = shared(2)
    mine.answered(200)
    child = os.fork()
    if child == 0:
        other.answered(200)
        other.answered(404)
        other.gauges = lambda: (5, 1)
        other.publish()
        os._exit(0)
    os.waitpid(child, 0)
    found = parsed(mine.text({}))
    assert found["hookline_requests_total"] == {labels(status="200"): 2, labels(status="404"): 1}
    assert found["hookline_queue_items"] == {labels(): 5}


def test_a_process_that_follows_one_counts_on_and_has_nothing_in_flight() -> None:
    first, _ = shared(2)
    first.answered(200)
    first.gauges = lambda: (5, 1)
    first.publish()
    again = first.again()
    again.answered(200)
    found = parsed(again.text({}))
    assert found["hookline_requests_total"] == {labels(status="200"): 2}
    assert found["hookline_requests_in_flight"] == {labels(): 0}
