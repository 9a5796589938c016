"""Wait for what happens in another thread or process, with a deadline instead of a sleep."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(is_so: Callable[[], object], timeout_s: float = 20.0) -> None:
    """Return as soon as `is_so`; fail after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)
