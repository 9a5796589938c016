from __future__ import annotations

from typing import Any

import pytest

from hookline.control.overdue import OVERDUE_S, SWEEP_EVERY_S, Sweep
from hookline.core.ports import Ports
from hookline.core.records import Job, JobStatus, Serving, Shard
from hookline.core.topology import FINISH, PLAN, SHARDS
from tests.fakes import FakeClock
from tests.unit.control.events import Plane

SCHEDULE = {"detail-type": "Scheduled Event"}
ABOUT = {"tenant": "a", "job_id": 1}


def job(ports: Ports, status: JobStatus, job_id: int = 1, *, done: tuple[bool, ...] = ()) -> None:
    """A job that has not moved since now, with a shard for each of `done`."""
    ports.catalog.put(
        Job(
            tenant="a",
            id=job_id,
            model_id=1,
            volume_id=1,
            serving=Serving(),
            status=status,
            shards=len(done),
            created_at=ports.clock(),
            updated_at=ports.clock(),
        )
    )
    for index, is_done in enumerate(done):
        shard = Shard(tenant="a", job_id=job_id, index=index, first=index, count=1)
        ports.catalog.put(shard.changed(is_done=is_done))


def swept(plane: Plane) -> dict[str, list[dict[str, Any]]]:
    """What the reconciler's schedule sends, by queue."""
    plane.handler("reconcile")(SCHEDULE, None)
    sent = {queue: plane.take(queue) for queue in (PLAN, FINISH)}
    return {queue: bodies for queue, bodies in sent.items() if bodies}


def test_a_job_that_nobody_plans_is_planned_after_all(plane: Plane, clock: FakeClock) -> None:
    job(plane.ports, "Received")

    assert swept(plane) == {}
    clock.advance(OVERDUE_S)

    assert swept(plane) == {PLAN: [ABOUT]}


def test_a_job_whose_shards_are_done_is_finished_after_all(plane: Plane, clock: FakeClock) -> None:
    job(plane.ports, "Running", done=(True, True))
    clock.advance(OVERDUE_S)

    assert swept(plane) == {FINISH: [ABOUT]}


def test_a_job_that_stops_is_finished_after_all(plane: Plane, clock: FakeClock) -> None:
    job(plane.ports, "Stopping", done=(False,))
    clock.advance(OVERDUE_S)

    assert swept(plane) == {FINISH: [ABOUT]}


@pytest.mark.parametrize("status", ["Queued", "Running"])
def test_a_job_whose_shards_are_in_hand_is_left_alone(
    plane: Plane, clock: FakeClock, status: JobStatus
) -> None:
    job(plane.ports, status, done=(True, False))
    plane.ports.queue.send(SHARDS, [b"{}"])
    clock.advance(OVERDUE_S)

    assert swept(plane) == {}


def test_shards_that_no_message_speaks_of_are_called_again(plane: Plane, clock: FakeClock) -> None:
    job(plane.ports, "Queued", done=(True, False))
    clock.advance(OVERDUE_S)

    assert swept(plane) == {PLAN: [ABOUT]}


@pytest.mark.parametrize("status", ["Stopped", "Completed", "CompletedWithErrors", "Failed"])
def test_a_job_that_has_ended_is_left_alone(
    plane: Plane, clock: FakeClock, status: JobStatus
) -> None:
    job(plane.ports, status)
    clock.advance(OVERDUE_S)

    assert swept(plane) == {}


def test_a_job_is_not_sent_for_at_every_look(plane: Plane, clock: FakeClock) -> None:
    job(plane.ports, "Received")
    clock.advance(OVERDUE_S)
    swept(plane)

    clock.advance(SWEEP_EVERY_S - 1)
    assert swept(plane) == {}
    clock.advance(1)
    assert swept(plane) == {PLAN: [ABOUT]}


def test_jobs_before_the_first_that_goes_on_are_not_read_again(
    plane: Plane, clock: FakeClock
) -> None:
    job(plane.ports, "Completed", 1)
    job(plane.ports, "Failed", 2)
    job(plane.ports, "Received", 3)
    job(plane.ports, "Completed", 4)
    job(plane.ports, "Received", 5)
    clock.advance(OVERDUE_S)

    assert [body["job_id"] for body in swept(plane)[PLAN]] == [3, 5]
    found = plane.ports.catalog.get(Sweep, "a", Job.kind)
    assert found is not None
    assert found.after == "0000000002"

    clock.advance(SWEEP_EVERY_S)
    assert [body["job_id"] for body in swept(plane)[PLAN]] == [3, 5]
