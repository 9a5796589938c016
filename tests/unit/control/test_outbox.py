from __future__ import annotations

from hookline.control import outbox
from hookline.control.outbox import Outgoing
from hookline.core.ports import Ports
from hookline.core.records import PLATFORM
from hookline.core.topology import PLAN
from tests.fakes import FakeClock
from tests.unit.control.events import Plane


def waiting(ports: Ports) -> int:
    return len(ports.catalog.query(Outgoing, PLATFORM).items)


def left_behind(ports: Ports) -> Outgoing:
    """A message whose sender died after the commit."""
    message = outbox.outgoing(PLAN, {"job_id": 1}, ports.clock())
    ports.catalog.put(message)
    return message


def test_a_message_is_sent_once_and_forgotten(plane: Plane) -> None:
    message = left_behind(plane.ports)

    outbox.send(plane.ports, message)
    outbox.send(plane.ports, message)

    assert plane.take(PLAN) == [{"job_id": 1}]
    assert waiting(plane.ports) == 0


def test_a_message_left_behind_is_sent_by_the_reconciler(plane: Plane, clock: FakeClock) -> None:
    left_behind(plane.ports)

    plane.handler("reconcile")({"detail-type": "Scheduled Event"}, None)
    assert plane.take(PLAN) == []  # its sender may still be at it

    clock.advance(60)
    plane.handler("reconcile")({"detail-type": "Scheduled Event"}, None)
    assert plane.take(PLAN) == [{"job_id": 1}]
    assert waiting(plane.ports) == 0
