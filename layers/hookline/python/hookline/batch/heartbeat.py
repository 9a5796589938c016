"""Hold a lease while the work lasts: extended at a third of its length, given up in time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from hookline.core.errors import Conflict, HooklineError
from hookline.core.ports import Lease, Queue

log = logging.getLogger(__name__)


class Heartbeat:
    """A `with` block around the work of one lease.

    `is_held` turns false before the lease ends, so that its holder stops before another begins.
    """

    def __init__(
        self,
        queue: Queue,
        lease: Lease,
        lease_s: int,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue, self._lease, self._lease_s, self._clock = queue, lease, lease_s, clock
        self._margin_s = lease_s / 6
        self._ends_at = self._clock() + lease_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    @property
    def is_held(self) -> bool:
        """Whether nobody else can have the message yet."""
        return self._clock() < self._ends_at - self._margin_s

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(self._lease_s / 3):
            if not self._beat():
                return

    def _beat(self) -> bool:
        began = self._clock()
        try:
            self._queue.extend(self._lease, self._lease_s)
        except Conflict:
            self._ends_at = 0.0
            return False
        except HooklineError:  # the next beat comes before the lease ends
            log.warning("lease_not_extended", extra={"message_id": self._lease.message_id})
        else:
            self._ends_at = began + self._lease_s
        return True
