"""The finish function: assemble the parts of a job into one CSV, then publish it.

The CSV is written to a fixed key and becomes the result by one conditional write of the job record,
so a reader sees nothing or the whole file. Two finishers at once, and one that died halfway and is
called again, write the same bytes: parts never change, and a job is only assembled when no shard
that could still add rows is open (see `shards.first_open`).
A part that is missing or short ends the job as Failed; a short CSV is never published.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import msgspec

from hookline.batch import jobs, parts, results, shards
from hookline.batch.events import queue_handler
from hookline.batch.row_file import Counts
from hookline.core.errors import HooklineError, NotFound
from hookline.core.ports import Ports
from hookline.core.records import Job, JobStatus, Shard
from hookline.core.rows import Row
from hookline.core.topology import FINISH, Handler


def build(ports: Ports) -> Handler:
    """The handler of finish messages: {"tenant", "job_id"}."""
    return queue_handler(ports, FINISH, partial(finish, ports))


def finish(ports: Ports, tenant: str, job_id: int) -> None:
    """Publish the job's results if nothing holds it back; otherwise do nothing."""
    job = jobs.load(ports.catalog, tenant, job_id)
    if job is None or not _is_ready(ports, job):
        return
    jobs.or_fail(ports, job, partial(_publish, ports, job))


def _is_ready(ports: Ports, job: Job) -> bool:
    if job.has_ended or job.status == "Received":
        return False
    return shards.first_open(ports.catalog, job) is None


def _publish(ports: Ports, job: Job) -> None:
    counts = _counts(ports, job)
    key = results.key_of(job)
    with ports.blobs.writer(key) as blob:
        csv = results.Digest(blob.write)
        for piece in results.written(rows_of(ports, job), job, has_errors=counts.failed > 0):
            csv.write(piece)

    def step(found: Job) -> Job | None:
        if found.has_ended:
            return None
        return jobs.changed(
            found,
            ports.clock(),
            status=_end(found, counts),
            results_key=key,
            results_sha256=csv.sha256,
            results_size_bytes=csv.size_bytes,
            succeeded=counts.succeeded,
            failed=counts.failed,
        )

    jobs.advance(ports, job, step)


def _end(job: Job, counts: Counts) -> JobStatus:
    if job.status == "Stopping":
        return "Stopped"
    return "CompletedWithErrors" if counts.failed else "Completed"


def _counts(ports: Ports, job: Job) -> Counts:
    succeeded = failed = 0
    for shard in shards.of_job(ports.catalog, job):
        succeeded, failed = succeeded + shard.succeeded, failed + shard.failed
    return Counts(succeeded, failed)


def rows_of(ports: Ports, job: Job) -> Iterator[Row]:
    """Every row of the shards that are done, in the manifest's order.

    Raise HooklineError for a part that is missing, short or out of order.
    """
    may_be_partial = job.status in ("Stopping", "Stopped")
    for shard in shards.of_job(ports.catalog, job):
        if not shard.is_done:
            continue
        found = 0
        for row in _part(ports, shard):
            if row.index != shard.first + found:
                raise _damaged(shard, f"Row {row.index} stands where {shard.first + found} should.")
            found += 1
            yield row
        promised = shard.succeeded + shard.failed
        if found != promised or (found != shard.count and not may_be_partial):
            raise _damaged(shard, f"It has {found} rows for {shard.count} files.")


def _part(ports: Ports, shard: Shard) -> Iterator[Row]:
    try:
        yield from parts.rows_of(ports.blobs, shard)
    except NotFound:
        raise _damaged(shard, "It is missing.") from None
    except msgspec.DecodeError as error:
        raise _damaged(shard, str(error)) from error


def _damaged(shard: Shard, why: str) -> HooklineError:
    return HooklineError(
        f"The part {shard.index} of job {shard.job_id} is damaged, so there are no results.",
        why=why,
        hint="Run the batch again; if it happens again, look at the storage.",
    )
