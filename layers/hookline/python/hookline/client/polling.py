"""Waiting for what takes its time: asked for again and again, ever more slowly."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from hookline.core.errors import DeadlineExceeded

FIRST_POLL_S, LONGEST_POLL_S = 0.1, 2.0
T = TypeVar("T")


def until(
    read: Callable[[], T],
    is_over: Callable[[T], bool],
    on_change: Callable[[T], None] | None,
    late: str,
    timeout_s: float,
    sleep: Callable[[float], None],
) -> T:
    """What is read once it `is_over`. Raise DeadlineExceeded, saying `late`, after `timeout_s`."""
    deadline, pause_s = time.monotonic() + timeout_s, FIRST_POLL_S
    while True:
        seen = read()
        if on_change:
            on_change(seen)
        if is_over(seen):
            return seen
        if time.monotonic() + pause_s > deadline:
            raise DeadlineExceeded(late, hint="Wait longer with --timeout.")
        sleep(pause_s)
        pause_s = min(LONGEST_POLL_S, pause_s * 1.5)
