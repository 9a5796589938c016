from __future__ import annotations

import threading
from typing import Any, cast

import pytest

from hookline.core.errors import Unavailable
from hookline.core.ports import Lease, Ports, Queue
from hookline.core.topology import DROPS, FUNCTIONS, PLAN, Function
from hookline.local.bridge import Handler
from hookline.local.pollers import Poller, pollers
from tests.fakes import FakeClock

WAIT_S = 10


class Calls:
    """A handler that remembers what it was called with; `fail` names the bodies it refuses."""

    def __init__(self, fail: set[str] | None = None) -> None:
        self.fail = fail or set()
        self.bodies: list[list[str]] = []
        self.scheduled = threading.Semaphore(0)
        self.called = threading.Event()

    def __call__(self, event: dict[str, Any], _context: object) -> dict[str, Any]:
        if event.get("detail-type") == "Scheduled Event":
            self.scheduled.release()
            return {}
        records = event["Records"]
        self.bodies.append(sorted(record["body"] for record in records))
        self.called.set()
        failed = [record["messageId"] for record in records if record["body"] in self.fail]
        return {"batchItemFailures": [{"itemIdentifier": name} for name in failed]}


class FullDisk:
    """A queue that cannot write for a while: nothing is acked or held back."""

    def __init__(self, queue: Queue, failures: int) -> None:
        self._queue, self.failures = queue, failures

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queue, name)

    def ack(self, lease: Lease) -> None:
        self._fail()
        self._queue.ack(lease)

    def extend(self, lease: Lease, lease_s: int) -> None:
        self._fail()
        self._queue.extend(lease, lease_s)

    def _fail(self) -> None:
        if self.failures:
            self.failures -= 1
            raise Unavailable("The database queue.db failed.", why="The disk is full.")


def poller(ports: Ports, handler: Handler, **changes: Any) -> Poller:
    function = Function("f", "x:y", **{"queue": PLAN, **changes})
    return Poller(function, handler, ports.queue)


def test_a_message_reaches_its_function_and_is_gone(ports: Ports) -> None:
    ports.queue.send(PLAN, [b"one"])
    calls = Calls()
    assert poller(ports, calls)._take()
    assert calls.bodies == [["one"]]
    assert ports.queue.depth(PLAN) == 0


def test_a_message_that_failed_comes_again_later(ports: Ports, clock: FakeClock) -> None:
    ports.queue.send(PLAN, [b"bad"])
    calls = Calls(fail={"bad"})
    taker = poller(ports, calls)
    taker._take()
    assert not taker._take()
    clock.advance(2)
    assert taker._take()
    assert calls.bodies == [["bad"], ["bad"]]


def test_a_function_that_raises_gets_its_message_again(ports: Ports, clock: FakeClock) -> None:
    def broken(_event: dict[str, Any], _context: object) -> dict[str, Any]:
        raise RuntimeError("boom")

    ports.queue.send(PLAN, [b"x"])
    taker = poller(ports, broken)
    assert taker._take()
    assert ports.queue.depth(PLAN) == 1
    clock.advance(2)
    assert taker._take()


def test_a_burst_arrives_in_one_call(ports: Ports) -> None:
    ports.queue.send(DROPS, [str(n).encode() for n in range(25)])
    calls = Calls()
    poller(ports, calls, queue=DROPS, batch_items=1000, batch_window_s=1)._take()
    assert [len(bodies) for bodies in calls.bodies] == [25]


def test_a_batch_is_never_larger_than_the_function_takes(ports: Ports) -> None:
    ports.queue.send(DROPS, [str(n).encode() for n in range(25)])
    calls = Calls()
    poller(ports, calls, queue=DROPS, batch_items=10, batch_window_s=1)._take()
    assert [len(bodies) for bodies in calls.bodies] == [10]


def test_a_started_poller_calls_its_schedule_at_once_and_takes_messages(ports: Ports) -> None:
    calls = Calls()
    running = poller(ports, calls, every_s=3600)
    running.start()
    try:
        assert calls.scheduled.acquire(timeout=WAIT_S)
        ports.queue.send(PLAN, [b"late"])
        assert calls.called.wait(WAIT_S)
    finally:
        running.stop(WAIT_S)
    assert calls.bodies == [["late"]]


@pytest.mark.parametrize("body", [b"fine", b"bad"])
def test_a_full_disk_does_not_end_a_poller(ports: Ports, clock: FakeClock, body: bytes) -> None:
    """What cannot be acked or held back comes again when its lease ends."""
    calls = Calls(fail={"bad"})
    ports.queue.send(PLAN, [body])
    full = FullDisk(ports.queue, failures=1)
    taker = Poller(Function("f", "x:y", queue=PLAN), calls, cast("Queue", full))

    taker._take()
    clock.advance(3600)
    taker._take()

    assert calls.bodies == [[body.decode()]] * 2


def test_a_function_without_a_queue_is_called_again_and_again(ports: Ports) -> None:
    calls = Calls()
    running = poller(ports, calls, queue="", every_s=1)
    running.start()
    try:
        for _ in range(2):
            assert calls.scheduled.acquire(timeout=WAIT_S)
    finally:
        running.stop(WAIT_S)
    assert not running._thread.is_alive()


def test_every_function_with_a_queue_or_a_schedule_has_a_poller(ports: Ports) -> None:
    made = pollers({function.name: Calls() for function in FUNCTIONS}, ports.queue)
    wanted = [one.name for one in FUNCTIONS if one.queue or one.every_s]
    assert [one._function.name for one in made] == wanted
