from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from hookline.control import reconcile
from hookline.control.desired import IDLE_S, WORKERS
from hookline.control.scaling import DOWN_S
from hookline.core.errors import InvalidInput, TooManyRequests, Unavailable
from hookline.core.loads import Demand, Load
from hookline.core.ports import Failure, Group, Ports
from hookline.core.records import PLATFORM, Credential, Replica, Stream, number
from hookline.core.secrets import digest
from hookline.core.topology import PLAN, RECONCILE, SHARDS
from tests.fakes import FakeClock, FakeFleet
from tests.unit.control.content import deployed, imported
from tests.unit.control.events import Plane

SCHEDULE = {"version": "0", "detail-type": "Scheduled Event", "source": "aws.events"}
BOOM = Failure(code="hook_failed", message="init raised ValueError.", trace="line 3: boom")


def message(**body: Any) -> dict[str, Any]:
    return {"Records": [{"messageId": "m1", "body": json.dumps(body)}]}


def about_stream(plane: Plane) -> dict[str, Any]:
    return plane.handler("reconcile")(message(tenant="a", stream_id=1), None)


def replicas(ports: Ports) -> list[Replica]:
    return list(ports.catalog.query(Replica, "a").items)


def test_a_deployed_stream_gets_its_processes(plane: Plane, fleet: FakeFleet) -> None:
    deployed(plane, replicas=2, gpus=1)

    about_stream(plane)

    assert fleet.groups == {
        ("a", "stream-1"): Group("a", "stream-1", "stream", 2, device="gpu", gpus=1)
    }
    assert plane.shown("/v1/streams/1")["status"] == "Deploying"


def test_a_stream_whose_process_is_ready_runs_and_is_routed_to(
    plane: Plane, fleet: FakeFleet
) -> None:
    deployed(plane)
    about_stream(plane)
    fleet.become("a", "stream-1", "ready")

    about_stream(plane)

    shown = plane.shown("/v1/streams/1")
    assert (shown["status"], shown["ready_replicas"]) == ("Running", 1)
    [process] = fleet.observe("a", "stream-1")
    assert [(r.process_id, r.address) for r in replicas(plane.ports)] == [
        (process.process_id, process.address)
    ]


def test_a_stream_whose_process_ends_before_it_is_ready_fails_with_the_reason(
    plane: Plane, fleet: FakeFleet
) -> None:
    token = deployed(plane)["presigned_token"]
    about_stream(plane)
    fleet.become("a", "stream-1", "exited", failure=BOOM)

    about_stream(plane)

    shown = plane.shown("/v1/streams/1")
    assert shown["status"] == "Failed"
    assert shown["failure"] == {
        "code": "hook_failed",
        "message": "init raised ValueError.",
        "trace": "line 3: boom",
    }
    assert fleet.groups == {}
    assert plane.ports.catalog.get(Credential, PLATFORM, digest(token)) is not None


def test_a_process_that_ends_without_a_word_is_a_failure_too(
    plane: Plane, fleet: FakeFleet
) -> None:
    deployed(plane)
    about_stream(plane)
    fleet.become("a", "stream-1", "exited")

    about_stream(plane)

    assert plane.shown("/v1/streams/1")["failure"]["code"] == "hook_crashed"


def running(plane: Plane, fleet: FakeFleet, **fields: Any) -> str:
    token: str = deployed(plane, **fields)["presigned_token"]
    about_stream(plane)
    fleet.become("a", "stream-1", "ready")
    about_stream(plane)
    plane.take(RECONCILE)
    return token


def test_a_running_stream_survives_the_crash_of_a_replica(plane: Plane, fleet: FakeFleet) -> None:
    running(plane, fleet)
    fleet.become("a", "stream-1", "exited", failure=BOOM)

    about_stream(plane)

    shown = plane.shown("/v1/streams/1")
    assert (shown["status"], shown["ready_replicas"]) == ("Running", 0)
    assert ("a", "stream-1") in fleet.groups
    assert replicas(plane.ports) == []


def test_a_stream_that_is_ready_is_left_alone(plane: Plane, fleet: FakeFleet) -> None:
    running(plane, fleet)
    before = plane.ports.catalog.get(Stream, "a", 1), replicas(plane.ports)

    for _ in range(3):
        about_stream(plane)

    assert (plane.ports.catalog.get(Stream, "a", 1), replicas(plane.ports)) == before


def test_an_undeployed_stream_leaves_nothing(plane: Plane, fleet: FakeFleet) -> None:
    token = running(plane, fleet)
    plane("DELETE", "/v1/streams/1")

    about_stream(plane)

    assert plane.shown("/v1/streams/1")["status"] == "Undeployed"
    assert fleet.groups == {}
    assert replicas(plane.ports) == []
    assert plane.ports.catalog.get(Credential, PLATFORM, digest(token)) is None


def test_a_stream_is_undeployed_when_its_last_process_has_ended(
    plane: Plane, fleet: FakeFleet
) -> None:
    class Draining(FakeFleet):
        """Takes its time to stop."""

        def remove(self, tenant: str, group: str) -> None:
            if (tenant, group) in self.processes:
                self.become(tenant, group, "draining")

    running(plane, fleet)
    slow = Draining()
    slow.groups, slow.processes = fleet.groups, fleet.processes
    ports = Ports(**{**_fields(plane.ports), "fleet": slow})
    plane("DELETE", "/v1/streams/1")

    reconcile.one_stream(ports, "a", 1)
    assert plane.shown("/v1/streams/1")["status"] == "Undeploying"
    assert replicas(ports) == []

    del slow.processes["a", "stream-1"]
    reconcile.one_stream(ports, "a", 1)
    assert plane.shown("/v1/streams/1")["status"] == "Undeployed"


def _fields(ports: Ports) -> dict[str, Any]:
    return {name: getattr(ports, name) for name in ports.__slots__}


def test_a_failed_stream_is_undeployed_as_well(plane: Plane, fleet: FakeFleet) -> None:
    deployed(plane)
    about_stream(plane)
    fleet.become("a", "stream-1", "exited", failure=BOOM)
    about_stream(plane)
    plane("DELETE", "/v1/streams/1")

    about_stream(plane)

    assert plane.shown("/v1/streams/1")["status"] == "Undeployed"


def test_a_stream_that_is_on_its_way_is_looked_at_again_soon(
    plane: Plane, clock: FakeClock
) -> None:
    deployed(plane)
    plane.take(RECONCILE)

    about_stream(plane)
    assert plane.take(RECONCILE) == []
    clock.advance(1)

    assert plane.take(RECONCILE) == [{"tenant": "a", "stream_id": 1}]


def test_a_settled_stream_is_not_looked_at_again(
    plane: Plane, fleet: FakeFleet, clock: FakeClock
) -> None:
    running(plane, fleet)
    clock.advance(60)
    plane.take(RECONCILE)

    about_stream(plane)
    clock.advance(60)

    assert plane.take(RECONCILE) == []


def test_after_a_restart_every_stream_that_should_run_is_started_again(
    plane: Plane, fleet: FakeFleet
) -> None:
    running(plane, fleet)
    deployed(plane, model_id=1)
    for lost in (fleet.groups, fleet.processes):
        lost.clear()

    plane.handler("reconcile")(SCHEDULE, None)

    assert set(fleet.groups) == {("a", "stream-1"), ("a", "stream-2")}
    assert replicas(plane.ports) == []
    assert plane.shown("/v1/streams/1")["status"] == "Running"


def test_streams_of_every_tenant_are_looked_after(plane: Plane, fleet: FakeFleet) -> None:
    deployed(plane)
    stream = plane.ports.catalog.get(Stream, "a", 1)
    assert stream is not None
    plane.ports.catalog.put(stream.changed(tenant="b", version=0))

    plane.handler("reconcile")(SCHEDULE, None)

    assert set(fleet.groups) == {("a", "stream-1"), ("b", "stream-1")}


def test_a_group_that_nothing_asks_for_is_removed(plane: Plane, fleet: FakeFleet) -> None:
    fleet.ensure(Group("a", "stream-9", "stream", 1))

    plane.handler("reconcile")(SCHEDULE, None)

    assert fleet.groups == {}


def test_a_group_that_outlived_its_stream_is_removed(plane: Plane, fleet: FakeFleet) -> None:
    running(plane, fleet)
    group = fleet.groups["a", "stream-1"]
    plane("DELETE", "/v1/streams/1")
    about_stream(plane)
    fleet.ensure(group)

    plane.handler("reconcile")(SCHEDULE, None)

    assert fleet.groups == {}


@pytest.mark.parametrize("queue", [PLAN, SHARDS])
def test_workers_start_when_there_is_work(plane: Plane, fleet: FakeFleet, queue: str) -> None:
    plane.ports.queue.send(queue, [b"{}"])

    reconcile.build(plane.ports, workers=3)(message(), None)

    assert fleet.groups == {(PLATFORM, WORKERS): Group(PLATFORM, WORKERS, "worker", 3)}


def test_no_workers_run_without_work(plane: Plane, fleet: FakeFleet) -> None:
    plane.handler("reconcile")(SCHEDULE, None)

    assert fleet.groups == {}


def test_workers_stay_warm_a_while_and_then_end(
    plane: Plane, fleet: FakeFleet, clock: FakeClock
) -> None:
    plane.ports.queue.send(SHARDS, [b"{}"])
    plane.handler("reconcile")(SCHEDULE, None)
    plane.take(SHARDS)

    plane.handler("reconcile")(SCHEDULE, None)
    clock.advance(IDLE_S - 1)
    plane.handler("reconcile")(SCHEDULE, None)
    assert (PLATFORM, WORKERS) in fleet.groups

    clock.advance(1)
    plane.handler("reconcile")(SCHEDULE, None)
    assert fleet.groups == {}


def test_work_in_between_keeps_workers_warm(
    plane: Plane, fleet: FakeFleet, clock: FakeClock
) -> None:
    handle = plane.handler("reconcile")
    plane.ports.queue.send(SHARDS, [b"{}"])
    handle(SCHEDULE, None)
    plane.take(SHARDS)
    handle(SCHEDULE, None)
    clock.advance(IDLE_S - 1)
    plane.ports.queue.send(SHARDS, [b"{}"])
    handle(SCHEDULE, None)
    plane.take(SHARDS)
    clock.advance(2)

    handle(SCHEDULE, None)

    assert (PLATFORM, WORKERS) in fleet.groups


def test_a_new_job_starts_the_workers(plane: Plane, fleet: FakeFleet) -> None:
    imported(plane)
    volume = plane.made("/v1/volumes", {"name": "v"})
    plane.made("/v1/batches", {"model_id": 1, "volume_id": volume["id"]})
    [body] = plane.take(RECONCILE)

    plane.handler("reconcile")(message(**body), None)

    assert (PLATFORM, WORKERS) in fleet.groups


def test_without_workers_of_its_own_it_asks_no_queue_for_work(plane: Plane) -> None:
    asked: list[str] = []

    class Watched:
        def __getattr__(self, name: str) -> Any:
            asked.append(name)
            return getattr(plane.ports.queue, name)

    ports = replace(plane.ports, queue=Watched())
    reconcile.build(ports, workers=0)(message(), None)
    assert asked == []
    reconcile.build(ports, workers=1)(message(), None)
    assert asked == ["depth", "depth"]


def test_a_message_about_a_stream_that_is_not_there_is_done(plane: Plane) -> None:
    assert about_stream(plane) == {"batchItemFailures": []}


def test_a_malformed_message_fails_alone(plane: Plane, fleet: FakeFleet) -> None:
    deployed(plane)
    bodies = ["{", '{"tenant": "a"}', '{"tenant": "a", "stream_id": 1}']
    records = [{"messageId": str(n), "body": body} for n, body in enumerate(bodies)]

    answer = plane.handler("reconcile")({"Records": records}, None)

    assert [f["itemIdentifier"] for f in answer["batchItemFailures"]] == ["0", "1"]
    assert ("a", "stream-1") in fleet.groups


def test_a_fleet_that_fails_gets_the_message_again(plane: Plane) -> None:
    class Broken(FakeFleet):
        def ensure(self, group: Group) -> None:
            raise RuntimeError(f"no room for {group.name}")

    deployed(plane)
    ports = Ports(**{**_fields(plane.ports), "fleet": Broken()})

    answer = reconcile.build(ports)(message(tenant="a", stream_id=1), None)

    assert answer == {"batchItemFailures": [{"itemIdentifier": "m1"}]}


def told(plane: Plane, in_flight: float, waiting: int = 0) -> None:
    """A gateway tells its load of stream 1."""
    known = plane.ports.catalog.get(Load, "a", f"{number(1)}/g")
    load = Load(
        tenant="a",
        stream_id=1,
        gateway_id="g",
        in_flight=in_flight,
        waiting=waiting,
        updated_at=plane.ports.clock(),
        version=known.version if known else 0,
    )
    plane.ports.catalog.put(load)


def test_replicas_follow_the_load_from_none_to_the_most_and_back(
    plane: Plane, fleet: FakeFleet, clock: FakeClock
) -> None:
    running(plane, fleet, min_replicas=0, max_replicas=3)
    counts = []
    for load in (0, 20, 100):
        told(plane, load)
        about_stream(plane)
        counts.append(fleet.groups["a", "stream-1"].count)
    clock.advance(DOWN_S)
    plane.handler("reconcile")(SCHEDULE, None)
    shown = plane.shown("/v1/streams/1")
    counts.append(fleet.groups["a", "stream-1"].count)
    told(plane, 0, waiting=2)
    about_stream(plane)
    counts.append(fleet.groups["a", "stream-1"].count)

    assert counts == [1, 3, 3, 0, 1]
    assert (shown["status"], shown["replicas"], shown["ready_replicas"]) == ("Running", 0, 0)


def test_a_stream_that_leaves_takes_its_load_with_it(plane: Plane, fleet: FakeFleet) -> None:
    running(plane, fleet, min_replicas=0, max_replicas=3)
    told(plane, 20)
    about_stream(plane)
    plane("DELETE", "/v1/streams/1")
    about_stream(plane)

    for kind in (Load, Demand):
        assert list(plane.ports.catalog.query(kind, "a").items) == []


def test_the_fleet_is_asked_once_for_all_streams_that_are_settled(
    plane: Plane, fleet: FakeFleet
) -> None:
    for _ in range(5):
        deployed(plane, model_id=1 if fleet.groups else 0)
        plane.handler("reconcile")(SCHEDULE, None)
    for stream_id in range(1, 6):
        fleet.become("a", f"stream-{stream_id}", "ready")
    plane.handler("reconcile")(SCHEDULE, None)
    assert len(replicas(plane.ports)) == 5
    fleet.looks = 0

    plane.handler("reconcile")(SCHEDULE, None)

    assert fleet.looks == 1


class Busy(FakeFleet):
    """The group's former service still drains."""

    busy: ClassVar[set[str]] = {"stream-1"}

    def ensure(self, group: Group) -> None:
        if group.name in self.busy:
            raise Unavailable(f"The service {group.name} is still draining.")
        super().ensure(group)


def test_a_fleet_that_still_drains_is_asked_again_and_nothing_has_failed(
    plane: Plane, clock: FakeClock
) -> None:
    deployed(plane)
    plane.take(RECONCILE)
    ports = Ports(**{**_fields(plane.ports), "fleet": Busy()})

    answer = reconcile.build(ports)(message(tenant="a", stream_id=1), None)
    clock.advance(1)

    assert answer == {"batchItemFailures": []}
    assert plane.take(RECONCILE) == [{"tenant": "a", "stream_id": 1}]
    assert plane.shown("/v1/streams/1")["status"] == "Deploying"


def test_a_running_stream_whose_group_still_drains_is_looked_at_again(
    plane: Plane, fleet: FakeFleet, clock: FakeClock
) -> None:
    running(plane, fleet)
    clock.advance(1)
    plane.take(RECONCILE)
    ports = Ports(**{**_fields(plane.ports), "fleet": Busy()})

    assert reconcile.build(ports)(message(tenant="a", stream_id=1), None) == {
        "batchItemFailures": []
    }
    clock.advance(1)
    assert plane.take(RECONCILE) == [{"tenant": "a", "stream_id": 1}]


def test_a_stream_that_cannot_be_started_holds_up_no_other(plane: Plane) -> None:
    class Broken(FakeFleet):
        def ensure(self, group: Group) -> None:
            if group.name == "stream-1":
                raise TooManyRequests("AWS is throttling hookline.")
            super().ensure(group)

    deployed(plane)
    deployed(plane, model_id=1)
    slow, broken = Busy(), Broken()
    for found in (slow, broken):
        ports = Ports(**{**_fields(plane.ports), "fleet": found})
        with nullcontext() if found is slow else pytest.raises(TooManyRequests):
            reconcile.everything(ports, 0)
        assert set(found.groups) == {("a", "stream-2")}


def test_what_nothing_here_can_run_has_failed(plane: Plane) -> None:
    class Small(FakeFleet):
        def ensure(self, group: Group) -> None:
            raise InvalidInput(f"Nothing here runs stream-{group.device}.")

    deployed(plane, gpus=1)
    ports = Ports(**{**_fields(plane.ports), "fleet": Small()})

    assert reconcile.build(ports)(message(tenant="a", stream_id=1), None) == {
        "batchItemFailures": []
    }
    shown = plane.shown("/v1/streams/1")
    assert shown["status"] == "Failed"
    assert shown["failure"]["message"] == "Nothing here runs stream-gpu."


def test_a_world_that_scales_its_own_workers_is_asked_for_none(
    plane: Plane, fleet: FakeFleet
) -> None:
    plane.ports.queue.send(SHARDS, [b"{}"])

    reconcile.build(plane.ports, workers=0)(SCHEDULE, None)

    assert fleet.groups == {}


def test_a_group_that_has_no_process_yet_is_removed_with_its_stream(
    plane: Plane, fleet: FakeFleet
) -> None:
    deployed(plane)
    about_stream(plane)
    fleet.processes.clear()
    plane("DELETE", "/v1/streams/1")

    about_stream(plane)

    assert fleet.groups == {}
    assert plane.shown("/v1/streams/1")["status"] == "Undeployed"
