"""One attempt at one shard: take it, fill its part, mark it done, call the finisher.

The order makes a stop safe: take the shard, then read the job. Who takes a shard after the stop
sees the stop and adds no rows, so the finisher need not wait for shards that nobody has taken.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Literal

from hookline.batch import jobs, manifest, parts, retry, shards
from hookline.batch.events import message
from hookline.batch.heartbeat import Heartbeat
from hookline.batch.journal import Journal
from hookline.batch.row_file import Counts
from hookline.batch.rows import Rows
from hookline.batch.watch import Watch
from hookline.core.errors import Unavailable
from hookline.core.ports import Ports
from hookline.core.records import Job, Shard
from hookline.core.topology import FINISH

Ending = Literal["handled", "lost", "draining"]
"""handled: the message is done with. lost: another has it. draining: another should have it."""

RowsOf = Callable[[Job, Journal, Watch], Rows]


class Attempt:
    """What an attempt needs; `rows_of` opens what predicts, when there is something to predict."""

    def __init__(self, ports: Ports, draining: threading.Event, rows_of: RowsOf) -> None:
        self._ports, self._draining, self._rows_of = ports, draining, rows_of
        self._settled: dict[tuple[str, int], int] = {}  # how many first shards of a job are done

    def run(self, job: Job, shard: Shard, heartbeat: Heartbeat) -> Ending:
        """Bring the shard to its end. Raise retryable errors, and what ends the job."""
        shard = shards.take(self._ports.catalog, shard)
        started = self._started(job)
        if started is None or started.has_ended:
            return "handled"
        if not shard.is_done:
            ending = self._fill(started, shard, heartbeat)
            if ending != "handled":
                return ending
        self._call_finisher(started)
        return "handled"

    def _started(self, job: Job) -> Job | None:
        """The job as it is now; Running if it was Queued."""

        def step(found: Job) -> Job | None:
            if found.status != "Queued":
                return None
            return jobs.changed(found, self._ports.clock(), status="Running")

        found = jobs.load(self._ports.catalog, job.tenant, job.id)
        return jobs.advance(self._ports, found, step) if found else None

    def _fill(self, job: Job, shard: Shard, heartbeat: Heartbeat) -> Ending:
        """See to it that the part is written and the shard marked done."""
        catalog = self._ports.catalog
        earlier = parts.stored(self._ports.blobs, shard) if shard.attempt > 1 else None
        watch = Watch(catalog, job, shard, heartbeat, self._draining)
        counts = self._written(job, shard, watch) if earlier is None else earlier
        if not isinstance(counts, Counts):
            return counts
        shards.finish(catalog, shard, *counts)
        return "handled"

    def _written(self, job: Job, shard: Shard, watch: Watch) -> Counts | Ending:
        """Predict and write the part: whole, or as far as it has come when the job stops."""
        blobs = self._ports.blobs
        journal = Journal.open(blobs, shard)
        if watch.may_go_on():
            entries = manifest.entries_of(blobs, shard)
            kept = partial(retry.kept, blobs, job, shard)
            self._rows_of(job, journal, watch).fill(entries, shard.attempt, kept)
        if len(journal.rows) != shard.count and watch.reason != "stopping":
            return self._abandoned(shard, journal, watch)
        counts = parts.write(blobs, shard, journal.rows)
        journal.discard()
        return counts

    def _abandoned(self, shard: Shard, journal: Journal, watch: Watch) -> Ending:
        if watch.reason == "draining":
            journal.save()
            return "draining"
        if not watch.reason:
            raise Unavailable(f"A shard of {shard.count} files has {len(journal.rows)} rows.")
        return "lost" if watch.reason == "lost" else "handled"

    def _call_finisher(self, job: Job) -> None:
        """Send for the finisher once nothing holds the job back; every caller may."""
        found = jobs.load(self._ports.catalog, job.tenant, job.id)
        if found is None or found.has_ended:
            return
        place = (job.tenant, job.id)
        first = shards.first_open(self._ports.catalog, found, self._settled.get(place, 0))
        if first is None:
            self._ports.queue.send(FINISH, [message(job.tenant, job.id)])
        else:
            self._settled = {place: first}
