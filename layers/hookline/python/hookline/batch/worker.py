"""The batch worker: leases the shards of any tenant's jobs and makes an attempt at each.

Rows are exact because a part is written once, whoever writes it; leases and the count of attempts
only keep workers from doing the same work twice.
No shard ends among the dead letters: before the last delivery of a message is used, a fresh copy
is sent, and the shard's own count of attempts sees to it that the shard comes to an end (see rows).
"""

from __future__ import annotations

import json
import logging
import threading
import time
from functools import partial

from hookline.batch import jobs, shards
from hookline.batch.attempt import Attempt, Ending
from hookline.batch.heartbeat import Heartbeat
from hookline.batch.inputs import Inputs
from hookline.batch.journal import Journal
from hookline.batch.reading import Reader
from hookline.batch.rows import Rows
from hookline.batch.session import FILE_TIMEOUT_S, OpenEngine, Session
from hookline.batch.watch import Watch
from hookline.core.errors import HooklineError
from hookline.core.ports import Lease, Ports
from hookline.core.records import Job
from hookline.core.topology import SHARDS, queue_spec

log = logging.getLogger(__name__)

IDLE_S = 0.2  # between looks at an empty queue
KEEP_ENGINE_S = 30.0
MAX_BACKOFF_S = 60


class Worker:
    """Takes shards one at a time until `draining` is set; an engine stays for the next shard."""

    def __init__(
        self,
        ports: Ports,
        open_engine: OpenEngine,
        *,
        draining: threading.Event,
        file_timeout_s: float = FILE_TIMEOUT_S,
        inputs: Inputs | None = None,
    ) -> None:
        """`inputs` spare it fetching files again that are the same; it may be shared."""
        self._ports, self._draining = ports, draining
        self._open_session = partial(
            Session.of, ports, open_engine=open_engine, timeout_s=file_timeout_s
        )
        self._session: Session | None = None
        self._reader = Reader(inputs)
        self._attempt = Attempt(ports, draining, self._rows_of)
        self._spec = queue_spec(SHARDS)

    def run(self) -> None:
        """Work until drained."""
        idle_since = time.monotonic()
        while not self._draining.is_set():
            if self.step():
                idle_since = time.monotonic()
                continue
            if time.monotonic() - idle_since > KEEP_ENGINE_S:
                self._end_session()
            time.sleep(IDLE_S)  # not draining.wait: its lock is no place for a signal handler
        self.close()

    def step(self) -> bool:
        """Take one message and see it through; False if there was none."""
        try:
            leases = self._ports.queue.receive(SHARDS, 1, lease_s=self._spec.lease_s)
        except HooklineError:
            log.exception("receive_failed", extra={"queue": SHARDS})
            return False
        for lease in leases:
            self._handle(lease)
        return bool(leases)

    def close(self) -> None:
        """End the engine and the threads."""
        self._end_session()
        self._reader.close()

    def _handle(self, lease: Lease) -> None:
        is_replaced = False
        try:
            is_replaced = self._replaced(lease)
            with Heartbeat(self._ports.queue, lease, self._spec.lease_s) as heartbeat:
                ending = self._work(lease, heartbeat)
            if ending == "handled":
                self._ports.queue.ack(lease)
            elif ending == "draining":
                self._return(lease, 0, is_replaced=is_replaced)
        except Exception:  # the edge around a worker's message, which is delivered again
            log.exception("shard_failed", extra={"message_id": lease.message_id})
            self._end_session()  # its engine may be in any state
            backoff_s = min(2**lease.attempts, MAX_BACKOFF_S)
            self._return(lease, backoff_s, is_replaced=is_replaced)

    def _replaced(self, lease: Lease) -> bool:
        """Before the last delivery is used, send a copy that comes if this worker dies."""
        if lease.attempts < self._spec.max_receives:
            return False
        self._ports.queue.send(SHARDS, [lease.body], delay_s=self._spec.lease_s)
        return True

    def _return(self, lease: Lease, delay_s: int, *, is_replaced: bool) -> None:
        """Let another worker have the message, or its copy."""
        try:
            if is_replaced:
                self._ports.queue.ack(lease)
            else:
                self._ports.queue.extend(lease, delay_s)
        except HooklineError:
            log.info("lease_not_changed", extra={"message_id": lease.message_id})

    def _work(self, lease: Lease, heartbeat: Heartbeat) -> Ending:
        body = json.loads(lease.body)
        job = jobs.load(self._ports.catalog, body["tenant"], body["job_id"])
        shard = shards.load(self._ports.catalog, body["tenant"], body["job_id"], body["index"])
        if job is None or job.has_ended or shard is None:
            return "handled"
        attempt = partial(self._attempt.run, job, shard, heartbeat)
        return jobs.or_fail(self._ports, job, attempt) or "handled"

    def _rows_of(self, job: Job, journal: Journal, watch: Watch) -> Rows:
        if self._session is None or not self._session.serves(job):
            self._end_session()
            self._session = self._open_session(job)
        return Rows(self._session, self._reader, journal, watch)

    def _end_session(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()
