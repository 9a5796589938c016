from __future__ import annotations

import threading
import time
from collections.abc import Callable

from hookline.batch.heartbeat import Heartbeat
from hookline.core.errors import Conflict, Unavailable
from hookline.core.ports import Lease, Queue

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


def heartbeat(queue: Extending) -> Heartbeat:
    fake: Queue = queue  # type: ignore[assignment]  # only `extend` is reached
    return Heartbeat(fake, LEASE, 1)


def wait(until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not until():
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)


def test_a_lease_is_extended_as_long_as_the_work_lasts() -> None:
    queue = Extending(None)
    with heartbeat(queue) as beat:
        wait(lambda: queue.extended >= 2)
        assert beat.is_held
    after = queue.extended
    threading.Event().wait(0.4)

    assert queue.extended == after


def test_a_lost_lease_is_known_at_the_next_beat() -> None:
    queue = Extending(Conflict("Another has it."))
    with heartbeat(queue) as beat:
        assert beat.is_held
        wait(lambda: not beat.is_held)

    assert queue.extended == 1


def test_one_failed_beat_is_made_good_by_the_next() -> None:
    queue = Extending(Unavailable("Busy."), None)
    with heartbeat(queue) as beat:
        wait(lambda: queue.extended >= 2)
        assert beat.is_held


def test_a_lease_that_cannot_be_extended_is_given_up_before_it_ends() -> None:
    began = time.monotonic()
    with heartbeat(Extending(Unavailable("Away."))) as beat:
        wait(lambda: not beat.is_held)

    assert time.monotonic() - began < 1.0
