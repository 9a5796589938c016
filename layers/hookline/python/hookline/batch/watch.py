"""Between two batches: may the worker go on with its shard?"""

from __future__ import annotations

import threading
import time
from typing import Literal

from hookline.batch import jobs, shards
from hookline.batch.heartbeat import Heartbeat
from hookline.core.ports import Catalog
from hookline.core.records import Job, Shard

LOOK_S = 0.5  # a stop is seen between two files or, when files are quick, after this time

Reason = Literal["", "stopping", "over", "lost", "draining"]


class Watch:
    """Looks at the world for one shard. `reason` says why not to go on; empty while all is well.

    stopping: the job stops, its rows so far count. over: the job has ended, or the shard is done by
    another worker. lost: the lease has ended. draining: this worker is to end.
    """

    def __init__(
        self,
        catalog: Catalog,
        job: Job,
        shard: Shard,
        heartbeat: Heartbeat,
        draining: threading.Event,
    ) -> None:
        self._catalog, self._job, self._shard = catalog, job, shard
        self._heartbeat, self._draining = heartbeat, draining
        self._look_at = time.monotonic() + LOOK_S
        self.reason: Reason = "stopping" if job.status == "Stopping" else ""

    def may_go_on(self) -> bool:
        """Look again; once false it stays false."""
        self.reason = self.reason or self._here() or self._there()
        return not self.reason

    def _here(self) -> Reason:
        if not self._heartbeat.is_held:
            return "lost"
        return "draining" if self._draining.is_set() else ""

    def _there(self) -> Reason:
        if time.monotonic() < self._look_at:
            return ""
        self._look_at = time.monotonic() + LOOK_S
        job = jobs.load(self._catalog, self._job.tenant, self._job.id)
        if job is None or job.has_ended:
            return "over"
        if job.status == "Stopping":
            return "stopping"
        shard = shards.load(self._catalog, job.tenant, job.id, self._shard.index)
        return "over" if shard is None or shard.is_done else ""
