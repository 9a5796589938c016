from __future__ import annotations

import json

import pytest

from hookline.control import bursts
from hookline.core.topology import DROPS
from hookline.core.triggers import Burst
from tests.fakes import FakeClock
from tests.unit.control.dropping import (
    arrive,
    deliver,
    drop,
    files,
    history,
    jobs,
    names,
    watched,
)
from tests.unit.control.events import Plane


def test_a_job_begins_once_no_file_came_for_the_settle_time(plane: Plane, clock: FakeClock) -> None:
    volume_id = watched(plane, settle_s=30)
    for name in ("a.png", "b.png", "c.png"):
        deliver(plane, [drop(plane, volume_id, name)])
        clock.advance(20)
        arrive(plane)
    assert jobs(plane) == []

    clock.advance(9)
    arrive(plane)
    assert jobs(plane) == []

    clock.advance(1)
    arrive(plane)
    assert names(plane) == [["a.png", "b.png", "c.png"]]


def test_files_that_keep_coming_do_not_hold_a_job_back_for_ever(
    plane: Plane, clock: FakeClock
) -> None:
    volume_id = watched(plane, settle_s=30, max_wait_s=60)
    for number in range(4):
        deliver(plane, [drop(plane, volume_id, f"{number}.png")])
        clock.advance(20)
        arrive(plane)

    assert names(plane)[0] == ["0.png", "1.png", "2.png"]


def test_a_wait_that_no_queue_delays_so_long_is_waited_in_steps(
    plane: Plane, clock: FakeClock
) -> None:
    volume_id = watched(plane, settle_s=2000)
    deliver(plane, [drop(plane, volume_id, "a.png")])
    for _ in range(19):
        clock.advance(100)
        arrive(plane)
    assert jobs(plane) == []

    clock.advance(100)
    arrive(plane)
    assert names(plane) == [["a.png"]]
    assert plane.take(DROPS) == []


def test_a_full_burst_begins_at_once_and_the_next_one_gathers(
    plane: Plane, clock: FakeClock
) -> None:
    volume_id = watched(plane, settle_s=30, max_files=2)

    deliver(plane, [drop(plane, volume_id, f"{number}.png") for number in range(5)])
    assert names(plane) == [["0.png", "1.png"], ["2.png", "3.png"]]

    clock.advance(30)
    arrive(plane)
    assert names(plane)[2:] == [["4.png"]]


def test_a_doubled_look_sends_no_second_message(plane: Plane, clock: FakeClock) -> None:
    volume_id = watched(plane, settle_s=30)
    deliver(plane, [drop(plane, volume_id, "a.png")])
    clock.advance(20)
    deliver(plane, [drop(plane, volume_id, "b.png")])
    clock.advance(10)
    [early] = plane.take(DROPS)

    deliver(plane, [json.dumps(early)] * 3)
    deliver(plane, [json.dumps(early)])

    assert plane.ports.queue.depth(DROPS) == 1
    assert jobs(plane) == []


def test_a_lost_look_is_made_up_for_by_the_reconciler(plane: Plane, clock: FakeClock) -> None:
    volume_id = watched(plane, settle_s=30)
    deliver(plane, [drop(plane, volume_id, "a.png")])
    clock.advance(30)
    plane.take(DROPS)

    clock.advance(bursts.OVERDUE_S)
    plane.handler("reconcile")({}, None)
    arrive(plane)
    assert jobs(plane) == []  # it may be on its way still

    clock.advance(1)
    plane.handler("reconcile")({}, None)
    arrive(plane)
    assert names(plane) == [["a.png"]]


def test_a_file_that_is_written_again_meanwhile_is_predicted_as_it_is_then(
    plane: Plane, clock: FakeClock
) -> None:
    volume_id = watched(plane, settle_s=30)
    for data in (b"1", b"333", b"22"):
        deliver(plane, [drop(plane, volume_id, "a.png", data)])

    clock.advance(30)
    arrive(plane)

    [job] = jobs(plane)
    assert [(file["name"], file["size"]) for file in files(plane, job)] == [("a.png", 2)]
    items = plane.shown(f"/v1/volumes/{volume_id}/drops")["items"]
    told = {item["size_bytes"]: (item["outcome"], item["job_id"]) for item in items}
    assert told == {1: ("ignored", None), 2: ("taken", job.id), 3: ("ignored", None)}
    assert {item["reason"] for item in items} == {"", bursts.SUPERSEDED}


def test_a_waiting_file_says_what_it_waits_for(plane: Plane) -> None:
    volume_id = watched(plane, settle_s=30)

    deliver(plane, [drop(plane, volume_id, "a.png")])

    outcome, job_id, reason = history(plane, volume_id)["a.png"]
    assert (outcome, job_id) == ("waiting", None)
    assert reason == (
        "Its job begins once no file came for 30 s, at most 300 s after the first one."
    )


def test_files_that_waited_when_the_trigger_was_turned_off_are_told(
    plane: Plane, clock: FakeClock
) -> None:
    volume_id = watched(plane, settle_s=30)
    deliver(plane, [drop(plane, volume_id, "a.png")])
    plane("DELETE", f"/v1/volumes/{volume_id}/triggers")

    clock.advance(30)
    assert arrive(plane) == []

    assert jobs(plane) == []
    assert history(plane, volume_id)["a.png"][0] == "ignored"
    assert "turned off" in history(plane, volume_id)["a.png"][2]


def test_only_files_with_the_suffixes_are_predicted(plane: Plane) -> None:
    volume_id = watched(plane, suffixes=[".jpg", ".PNG"])

    deliver(plane, [drop(plane, volume_id, name) for name in ("a.JPG", "b.png", "c.txt", "d")])

    assert names(plane) == [["a.JPG", "b.png"]]
    told = history(plane, volume_id)
    assert told["a.JPG"][:2] == ("taken", 1)
    assert told["c.txt"] == ("ignored", None, "Its name ends in none of .jpg, .png.")


def test_names_that_fill_a_record_are_spread_over_several(plane: Plane) -> None:
    volume_id = watched(plane)
    part = "\x01" * 250
    long = [f"{part}/{part}/{part}/{part}/{number:03}"[-990:] for number in range(90)]

    assert deliver(plane, [drop(plane, volume_id, name) for name in long]) == []

    assert names(plane) == [sorted(long)]


def test_a_burst_whose_maker_died_begins_when_its_event_comes_again(plane: Plane) -> None:
    volume_id = watched(plane)
    event = drop(plane, volume_id, "a.png")
    deliver(plane, [event])
    [job] = jobs(plane)
    burst = plane.ports.catalog.get(Burst, "a", "0000000001/0000000001")
    assert burst is not None
    assert burst.job_id == job.id

    deliver(plane, [event])  # nothing gathers now

    assert len(jobs(plane)) == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"marker": "_SUCCESS", "manifest": "list.txt"},
        {"marker": "_SUCCESS", "settle_s": 3},
        {"manifest": "list.txt", "max_wait_s": 3},
        {"settle_s": 10, "max_wait_s": 5},
        {"settle_s": -1},
        {"settle_s": 3601},
        {"max_files": 0},
        {"max_files": 10_001},
        {"marker": "a/b"},
        {"marker": ".done"},
        {"manifest": ".files"},
        {"suffixes": [""]},
        {"suffixes": ["/x"]},
    ],
)
def test_options_that_cannot_be_are_refused(plane: Plane, fields: dict[str, object]) -> None:
    volume_id = watched(plane)

    answer = plane("POST", f"/v1/volumes/{volume_id}/triggers", {"model_id": 1, **fields})

    assert (answer.status, answer.body["code"]) == (422, "invalid_input")


def test_a_trigger_with_other_options_is_another_one(plane: Plane) -> None:
    volume_id = watched(plane, settle_s=30)
    path = f"/v1/volumes/{volume_id}/triggers"

    same = plane.made(path, {"model_id": 1, "settle_s": 30, "max_wait_s": 300})
    other = plane.made(path, {"model_id": 1, "settle_s": 31})

    assert (same["id"], other["id"]) == (1, 2)
    assert (other["settle_s"], other["max_wait_s"], other["max_files"]) == (31, 310, 1000)
