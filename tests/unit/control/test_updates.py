from __future__ import annotations

from typing import Any

import pytest

from hookline.control.desired import GRACE_S
from hookline.core.errors import InvalidInput
from hookline.core.groups import group_of, stream_of
from hookline.core.ports import Failure, Group, Ports
from hookline.core.records import Replica, Stream
from tests.fakes import FakeClock, FakeFleet
from tests.unit.control.content import HOOKS, deployed, imported, onnx_bytes, uploaded
from tests.unit.control.events import Answer, Plane
from tests.unit.control.test_reconcile import SCHEDULE, about_stream, running

BOOM = Failure("hook_failed", "init raised ValueError.", "line 3: boom")
OTHER = onnx_bytes(output=(None, 5))


def update(plane: Plane, body: dict[str, Any], **headers: str) -> Answer:
    return plane("PATCH", "/v1/streams/1", body, headers=headers)


def updating(plane: Plane, fleet: FakeFleet, **fields: Any) -> Any:
    """Stream 1 of model 1 runs and is to answer with model 2."""
    running(plane, fleet, **fields)
    imported(plane, OTHER)
    answer = update(plane, {"model_id": 2})
    assert answer.status == 202
    about_stream(plane)
    return answer.body


def addresses(plane: Plane) -> set[str]:
    return {replica.address for replica in plane.ports.catalog.query(Replica, "a").items}


def of(fleet: FakeFleet, group: str) -> set[str]:
    return {process.address for process in fleet.observe("a", group)}


def test_new_processes_start_beside_those_that_answer(plane: Plane, fleet: FakeFleet) -> None:
    stream = updating(plane, fleet, replicas=2)

    assert (stream["status"], stream["model_id"], stream["edition"]) == ("Updating", 2, 2)
    counts = {name: group.count for (_, name), group in fleet.groups.items()}
    assert counts == {"stream-1": 2, "stream-1-2": 2}
    assert addresses(plane) == of(fleet, "stream-1")


def test_the_new_answer_once_all_are_ready_and_the_old_end_when_nobody_asks_them(
    plane: Plane, fleet: FakeFleet, clock: FakeClock
) -> None:
    updating(plane, fleet)
    fleet.become("a", "stream-1-2", "ready")
    about_stream(plane)

    shown = plane.shown("/v1/streams/1")
    assert (shown["status"], shown["model_id"], shown["failure"]) == ("Running", 2, None)
    assert addresses(plane) == of(fleet, "stream-1-2")
    assert ("a", "stream-1") in fleet.groups

    clock.advance(GRACE_S)
    plane.handler("reconcile")(SCHEDULE, None)
    assert set(fleet.groups) == {("a", "stream-1-2")}
    assert addresses(plane) == of(fleet, "stream-1-2")
    stored = plane.ports.catalog.get(Stream, "a", 1)
    assert stored is not None
    assert stored.former is None


def test_a_new_version_that_fails_leaves_the_old_one_answering(
    plane: Plane, fleet: FakeFleet
) -> None:
    updating(plane, fleet)
    fleet.become("a", "stream-1-2", "exited", failure=BOOM)
    about_stream(plane)

    shown = plane.shown("/v1/streams/1")
    assert (shown["status"], shown["model_id"]) == ("Running", 1)
    assert shown["failure"]["trace"] == "line 3: boom"
    assert set(fleet.groups) == {("a", "stream-1")}
    assert addresses(plane) == of(fleet, "stream-1")


def test_an_update_after_a_failed_one_has_a_group_of_its_own(
    plane: Plane, fleet: FakeFleet
) -> None:
    updating(plane, fleet)
    fleet.become("a", "stream-1-2", "exited", failure=BOOM)
    about_stream(plane)
    update(plane, {"model_id": 2})
    about_stream(plane)
    assert ("a", "stream-1-3") in fleet.groups

    fleet.become("a", "stream-1-3", "ready")
    about_stream(plane)
    assert plane.shown("/v1/streams/1")["failure"] is None


def test_an_update_during_an_update_takes_its_place(plane: Plane, fleet: FakeFleet) -> None:
    updating(plane, fleet)
    bundle = {"sha256": uploaded(plane, HOOKS), "filename": "inference.py"}
    update(plane, {"bundle": bundle})
    plane.handler("reconcile")(SCHEDULE, None)

    assert set(fleet.groups) == {("a", "stream-1"), ("a", "stream-1-3")}
    assert addresses(plane) == of(fleet, "stream-1")


def test_what_the_fleet_cannot_run_is_taken_back(plane: Plane, fleet: FakeFleet) -> None:
    class Small(FakeFleet):
        def ensure(self, group: Group) -> None:
            if group.gpus:
                raise InvalidInput("Nothing here runs stream-gpu.")
            super().ensure(group)

    running(plane, fleet)
    small = Small()
    small.groups, small.processes = fleet.groups, fleet.processes
    ports = Ports(**{n: getattr(plane.ports, n) for n in Ports.__slots__} | {"fleet": small})
    update(plane, {"gpus": 1})
    about_stream(Plane(ports))

    shown = plane.shown("/v1/streams/1")
    assert (shown["status"], shown["gpus"]) == ("Running", 0)
    assert shown["failure"]["message"] == "Nothing here runs stream-gpu."


def test_limits_change_without_new_processes(plane: Plane, fleet: FakeFleet) -> None:
    running(plane, fleet)
    before = of(fleet, "stream-1")
    stream = update(plane, {"min_replicas": 3, "max_replicas": 5, "target_in_flight": 2}).body
    about_stream(plane)

    assert (stream["status"], stream["replicas"], stream["edition"]) == ("Running", 3, 2)
    assert before < of(fleet, "stream-1")
    assert len(of(fleet, "stream-1")) == 3


def test_what_is_not_given_stays(plane: Plane, fleet: FakeFleet) -> None:
    bundle = {"sha256": uploaded(plane, HOOKS), "filename": "inference.py"}
    running(plane, fleet, bundle=bundle, gpus=2, max_replicas=4)
    stream = update(plane, {"custom_code": {"url": "https://example.org/hooks.git"}}).body

    assert stream["bundle"] == {**bundle, "volume_id": None}
    assert (stream["device"], stream["gpus"], stream["max_replicas"]) == ("gpu", 2, 4)
    assert update(plane, {"bundle": None}).body["bundle"] is None


def test_the_decoder_stays_until_it_is_changed_or_taken_back(
    plane: Plane, fleet: FakeFleet
) -> None:
    running(plane, fleet, decoder="exact")
    assert update(plane, {"gpus": 1}).body["decoder"] == "exact"
    assert update(plane, {"decoder": "simplejpeg"}).body["decoder"] == "simplejpeg"
    assert update(plane, {"decoder": None}).body["decoder"] == "pillow"


def test_the_padding_stays_until_it_is_changed_or_taken_back(
    plane: Plane, fleet: FakeFleet
) -> None:
    imported(plane, onnx_bytes((None, None), (None, None)))
    padding = {"buckets": [16], "axis": "", "values": {"x": 1.0}}
    running(plane, fleet, model_id=1, padding=padding)
    assert update(plane, {"gpus": 1}).body["padding"] == padding
    assert update(plane, {"padding": {"buckets": [8]}}).body["padding"]["buckets"] == [8]
    assert update(plane, {"padding": None}).body["padding"] is None


def test_a_change_of_nothing_changes_nothing(plane: Plane, fleet: FakeFleet) -> None:
    running(plane, fleet)

    for body in ({}, {"model_id": 1}, {"replicas": 1}, {"formatter": "raw"}):
        stream = update(plane, body).body
        assert (stream["status"], stream["edition"]) == ("Running", 1)


def test_a_change_may_be_meant_for_one_edition(plane: Plane, fleet: FakeFleet) -> None:
    running(plane, fleet)
    match = "if-match"

    assert update(plane, {"replicas": 2}, **{match: '"1"'}).status == 202
    refused = update(plane, {"replicas": 3}, **{match: '"1"'})
    assert (refused.status, refused.body["code"]) == (409, "conflict")
    assert update(plane, {"replicas": 2}, **{match: '"1"'}).status == 202  # sent twice
    assert plane.shown("/v1/streams/1")["replicas"] == 2


def test_the_tag_of_a_stream_is_for_its_next_change(plane: Plane, fleet: FakeFleet) -> None:
    running(plane, fleet)
    seen = plane("GET", "/v1/streams/1").headers["ETag"]

    changed = update(plane, {"replicas": 2}, **{"if-match": seen})
    assert (changed.status, changed.headers["ETag"] != seen) == (202, True)
    assert plane("GET", "/v1/streams/1").headers["ETag"] == changed.headers["ETag"]
    assert update(plane, {"replicas": 3}, **{"if-match": seen}).status == 409
    assert update(plane, {"replicas": 3}, **{"if-match": changed.headers["ETag"]}).status == 202


def test_a_stream_that_has_failed_is_tried_again(plane: Plane, fleet: FakeFleet) -> None:
    deployed(plane)
    about_stream(plane)
    fleet.become("a", "stream-1", "exited", failure=BOOM)
    about_stream(plane)
    assert update(plane, {}).body["status"] == "Deploying"
    about_stream(plane)
    fleet.become("a", "stream-1-2", "ready")
    about_stream(plane)

    shown = plane.shown("/v1/streams/1")
    assert (shown["status"], shown["failure"]) == ("Running", None)


def test_a_stream_that_sleeps_is_tried_with_one_replica(plane: Plane, fleet: FakeFleet) -> None:
    running(plane, fleet, min_replicas=0)
    stream = plane.ports.catalog.get(Stream, "a", 1)
    assert stream is not None
    plane.ports.catalog.put(stream.changed(replicas=0))
    imported(plane, OTHER)
    update(plane, {"model_id": 2})
    about_stream(plane)

    assert fleet.groups["a", "stream-1-2"].count == 1


def test_an_undeployed_stream_leaves_neither_version(plane: Plane, fleet: FakeFleet) -> None:
    updating(plane, fleet)
    plane("DELETE", "/v1/streams/1")
    about_stream(plane)

    assert plane.shown("/v1/streams/1")["status"] == "Undeployed"
    assert fleet.groups == {}
    assert addresses(plane) == set()


def test_a_model_that_still_answers_is_kept(plane: Plane, fleet: FakeFleet) -> None:
    updating(plane, fleet)

    for model_id in (1, 2):
        assert plane("DELETE", f"/v1/models/{model_id}").status == 409


@pytest.mark.parametrize(
    ("body", "status"),
    [({"model_id": 9}, 404), ({"colour": 1}, 422), ({"min_replicas": 9, "max_replicas": 2}, 422)],
)
def test_a_bad_change_is_refused(
    plane: Plane, fleet: FakeFleet, body: dict[str, Any], status: int
) -> None:
    running(plane, fleet)

    assert update(plane, body).status == status
    assert plane.shown("/v1/streams/1")["edition"] == 1


def test_a_stream_that_starts_or_leaves_is_not_changed(plane: Plane) -> None:
    deployed(plane)
    assert update(plane, {"replicas": 2}).status == 409
    plane("DELETE", "/v1/streams/1")
    assert update(plane, {"replicas": 2}).status == 409


@pytest.mark.parametrize(("revision", "name"), [(1, "stream-23"), (2, "stream-23-2")])
def test_a_group_says_whose_it_is(revision: int, name: str) -> None:
    assert group_of(23, revision) == name
    assert stream_of(name) == 23
    assert [stream_of(other) for other in ("worker", "stream-0", "stream-1-", "x")] == [0] * 4
