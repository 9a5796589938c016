"""Patience with AWS: what it could not do for a moment is tried again, for a bounded time."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

from hookline.core.errors import Transient

log = logging.getLogger(__name__)

T = TypeVar("T")

PATIENCE_S = 120.0  # ECS gives a replica 300 s to be ready, and its model has to load as well
FIRST_WAIT_S, MOST_WAIT_S = 1.0, 20.0


def patiently(
    attempt: Callable[[], T],
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """What `attempt` returns, called again while it raises Transient, after longer and longer.

    Raise the last of these errors when PATIENCE_S would be exceeded, and any other at once.
    """
    deadline, most_s = clock() + PATIENCE_S, FIRST_WAIT_S
    while True:
        try:
            return attempt()
        except Transient as error:
            wait_s = random.uniform(most_s / 2, most_s)  # noqa: S311 - no secret: replicas spread
            if clock() + wait_s > deadline:
                raise
            log.warning("start_delayed", extra={"why": str(error), "wait_s": round(wait_s, 1)})
        sleep(wait_s)
        most_s = min(2 * most_s, MOST_WAIT_S)
