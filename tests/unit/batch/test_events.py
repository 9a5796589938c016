from __future__ import annotations

from typing import Any

import pytest

from hookline.batch.events import message, queue_handler
from hookline.core.errors import HookFailed, Unavailable
from hookline.core.ports import Ports
from hookline.core.topology import PLAN, Handler
from tests.unit.batch.world import TENANT, World


def event(*bodies: bytes, receives: int = 1) -> dict[str, Any]:
    attributes = {"ApproximateReceiveCount": str(receives)}
    records = [
        {"messageId": f"m{n}", "body": body.decode(), "attributes": attributes}
        for n, body in enumerate(bodies)
    ]
    return {"Records": records}


def failing(ports: Ports, error: Exception) -> Handler:
    def work(_tenant: str, job_id: int) -> None:
        if job_id == 21:
            raise error

    return queue_handler(ports, PLAN, work)


def test_a_failed_message_is_reported_alone(ports: Ports) -> None:
    handler = failing(ports, ValueError("bug"))

    answer = handler(event(message(TENANT, 20), message(TENANT, 21), message(TENANT, 22)), None)

    assert answer == {"batchItemFailures": [{"itemIdentifier": "m1"}]}


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"tenant": "a", "job_id": "x"}'])
def test_a_malformed_message_is_dropped(ports: Ports, body: bytes) -> None:
    assert failing(ports, ValueError())(event(body), None) == {"batchItemFailures": []}


def test_an_error_that_may_pass_gets_a_fresh_message_instead_of_a_dead_one(world: World) -> None:
    world.submit({})
    handler = failing(world.ports, Unavailable("The disk is full."))
    [first] = world.ports.queue.receive(PLAN, 1, lease_s=60)
    world.ports.queue.ack(first)

    answer = handler(event(first.body, receives=5), None)

    assert answer == {"batchItemFailures": []}
    assert world.job().status == "Received"
    world.clock.advance(61)
    [fresh] = world.ports.queue.receive(PLAN, 1, lease_s=60)
    assert fresh.body == first.body


def test_an_error_that_stays_ends_the_job_at_the_last_delivery(world: World) -> None:
    world.submit({})
    handler = failing(world.ports, HookFailed("It broke.", trace="line 1"))

    handler(event(message(TENANT, 21), receives=4), None)
    assert world.job().status == "Received"
    handler(event(message(TENANT, 21), receives=5), None)

    failure = world.job().failure
    assert failure is not None
    assert (failure.code, failure.message, failure.trace) == ("hook_failed", "It broke.", "line 1")


def test_a_bug_ends_the_job_without_telling_its_inside(world: World) -> None:
    world.submit({})
    handler = failing(world.ports, ValueError("/home/secret"))

    handler(event(message(TENANT, 21), receives=5), None)

    failure = world.job().failure
    assert failure is not None
    assert failure.code == "internal"
    assert "secret" not in failure.message
