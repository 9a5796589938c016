"""Calls functions as AWS would: with messages from their queues, and on their schedules."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Sequence

from hookline.core.errors import Conflict, HooklineError
from hookline.core.ports import MAX_LEASES, Lease, Queue
from hookline.core.topology import FUNCTIONS, Function, queue_spec
from hookline.local.bridge import Context, Event, Handler, failed_ids, scheduled, sqs_event

log = logging.getLogger(__name__)

IDLE_S = 0.1  # between looks at an empty queue
MAX_BACKOFF_S = 60


class Poller:
    """One function: a thread that hands it its messages and calls it on its schedule."""

    def __init__(self, function: Function, handler: Handler, queue: Queue) -> None:
        self._function, self._handler, self._queue = function, handler, queue
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"poll-{function.name}", daemon=True)

    def start(self) -> None:
        """Begin; a scheduled function is called at once."""
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Finish the message in hand, then end."""
        self._stop.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.is_set():
            if self._function.every_s and time.monotonic() >= due:
                due = time.monotonic() + self._function.every_s
                self._call(scheduled())
            if not self._function.queue:
                self._stop.wait(max(due - time.monotonic(), 0))
            elif not self._take():
                self._stop.wait(IDLE_S)

    def _take(self) -> bool:
        try:
            leases = self._gather()
        except HooklineError:
            log.exception("poll_failed", extra={"queue": self._function.queue})
            return False
        if leases:
            self._deliver(leases)
        return bool(leases)

    def _gather(self) -> list[Lease]:
        """Up to `batch_items` messages, waiting `batch_window_s` for more after the first."""
        function, leases = self._function, list(self._receive())
        until = time.monotonic() + function.batch_window_s
        while leases and len(leases) < function.batch_items and time.monotonic() < until:
            more = self._receive()
            leases += more
            if not more and self._stop.wait(IDLE_S):
                break
        return leases

    def _receive(self) -> Sequence[Lease]:
        spec = queue_spec(self._function.queue)
        limit = min(MAX_LEASES, self._function.batch_items)
        return self._queue.receive(spec.name, limit, lease_s=spec.lease_s)

    def _deliver(self, leases: Sequence[Lease]) -> None:
        answer = self._call(sqs_event(leases))
        failed = {lease.message_id for lease in leases} if answer is None else failed_ids(answer)
        for lease in leases:
            self._settle(lease, has_failed=lease.message_id in failed)

    def _settle(self, lease: Lease, *, has_failed: bool) -> None:
        """Be done with it; or have it again, later each time, until it counts among the dead."""
        try:
            if has_failed:
                self._queue.extend(lease, min(2**lease.attempts, MAX_BACKOFF_S))
            else:
                self._queue.ack(lease)
        except Conflict:
            log.info("lease_ended", extra={"queue": lease.queue})
        except HooklineError:  # a full disk; the lease ends by itself, and the message comes again
            log.exception("message_not_settled", extra={"queue": lease.queue})

    def _call(self, event: Event) -> object | None:
        context = Context(self._function.name, uuid.uuid4().hex)
        try:
            return self._handler(event, context)
        except Exception:  # the edge around a worker's message: nothing may end this thread
            log.exception("function_failed", extra={"function": self._function.name})
            return None


def pollers(handlers: dict[str, Handler], queue: Queue) -> list[Poller]:
    """A poller for every function of the topology that has a queue or a schedule."""
    return [
        Poller(function, handlers[function.name], queue)
        for function in FUNCTIONS
        if function.queue or function.every_s
    ]
