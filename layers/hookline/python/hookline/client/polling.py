"""Waiting for what takes its time: asked for again and again, ever more slowly."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from hookline.client.views import Job
from hookline.core.errors import DeadlineExceeded

FIRST_POLL_S, LONGEST_POLL_S = 0.1, 2.0
LATE = 0.05  # of the time waited so far: how much later than it happens an end may be seen
LONGEST_REST_S = 30.0
# To say how far a job is takes the service 10 ms of CPU for a million rows: waiting takes 2 %.
ROWS_PER_S = 2_000_000
T = TypeVar("T")


def between_looks_s(job: Job) -> float:
    """How long to leave a job alone after a look."""
    return min(LONGEST_REST_S, job.total / ROWS_PER_S)


def until(
    read: Callable[[], T],
    is_over: Callable[[T], bool],
    on_change: Callable[[T], None] | None,
    late: str,
    timeout_s: float,
    sleep: Callable[[float], None],
    least_s: Callable[[T], float] = lambda _: 0.0,
) -> T:
    """What is read once it `is_over`. Raise DeadlineExceeded, saying `late`, after `timeout_s`.

    `least_s` is how long to wait at least, by what was seen.
    """
    deadline, waited_s = time.monotonic() + timeout_s, 0.0
    while True:
        seen = read()
        if on_change:
            on_change(seen)
        if is_over(seen):
            return seen
        pause_s = max(FIRST_POLL_S, min(LONGEST_POLL_S, LATE * waited_s), least_s(seen))
        if time.monotonic() + pause_s > deadline:
            raise DeadlineExceeded(late, hint="Wait longer with --timeout.")
        sleep(pause_s)
        waited_s += pause_s
