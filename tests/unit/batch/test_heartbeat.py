from __future__ import annotations

import threading
import time
from collections.abc import Callable

from hookline.batch.heartbeat import Heartbeat
from hookline.core.errors import Conflict, Unavailable
from hookline.core.ports import Lease, Queue
from tests.fakes import FakeClock

LEASE = Lease("shards", "1", b"{}", "r", 1)


class Extending:
    """A queue that can only extend; `answers` are what it does, the last one for ever."""

    def __init__(self, *answers: Exception | None) -> None:
        self.answers = list(answers)
        self.extended = 0

    def extend(self, lease: Lease, lease_s: int) -> None:
        assert (lease, lease_s) == (LEASE, 1)
        self.extended += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is not None:
            raise answer


def heartbeat(queue: Extending, clock: FakeClock) -> Heartbeat:
    fake: Queue = queue  # type: ignore[assignment]  # only `extend` is reached
    return Heartbeat(fake, LEASE, 1, clock=clock)


def wait(until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not until():
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)


def wait_for_a_whole_beat(queue: Extending) -> None:
    """One that begins from now on, and has ended: the one after it has begun."""
    seen = queue.extended
    wait(lambda: queue.extended >= seen + 2)


def test_a_lease_is_extended_as_long_as_the_work_lasts() -> None:
    queue, clock = Extending(None), FakeClock()
    with heartbeat(queue, clock) as beat:
        for _ in range(2):
            clock.advance(0.7)
            assert beat.is_held
            wait_for_a_whole_beat(queue)
    after = queue.extended
    threading.Event().wait(0.4)

    assert queue.extended == after


def test_a_lost_lease_is_known_at_the_next_beat() -> None:
    queue = Extending(Conflict("Another has it."))
    with heartbeat(queue, FakeClock()) as beat:
        assert beat.is_held
        wait(lambda: not beat.is_held)

    assert queue.extended == 1


def test_one_failed_beat_is_made_good_by_the_next() -> None:
    queue, clock = Extending(Unavailable("Busy."), None), FakeClock()
    with heartbeat(queue, clock) as beat:
        wait(lambda: queue.extended >= 1)
        clock.advance(0.7)
        wait_for_a_whole_beat(queue)
        clock.advance(0.7)
        assert beat.is_held


def test_a_lease_that_cannot_be_extended_is_given_up_before_it_ends() -> None:
    queue, clock = Extending(Unavailable("Away.")), FakeClock()
    with heartbeat(queue, clock) as beat:
        wait_for_a_whole_beat(queue)
        clock.advance(0.8)
        assert beat.is_held
        clock.advance(0.1)
        assert not beat.is_held
