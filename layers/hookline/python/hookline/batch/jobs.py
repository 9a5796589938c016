"""Move a job along: every change is one conditional write that never leaves an end."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any, TypeVar

from hookline.core.errors import Conflict, HooklineError, Unavailable
from hookline.core.ports import Catalog, Ports
from hookline.core.records import Failure, Job
from hookline.core.topology import NOTICES

log = logging.getLogger(__name__)

ATTEMPTS = 10

T = TypeVar("T")


def changed(job: Job, now: float, **fields: Any) -> Job:
    """A copy with other fields; `updated_at` never goes back, whatever the clock does."""
    return job.changed(updated_at=max(job.updated_at, now), **fields)


def advance(ports: Ports, job: Job, step: Callable[[Job], Job | None]) -> Job | None:
    """Store what `step` makes of the job, reading it again while others change it.

    Return the job as stored, unchanged if `step` gave None; None if the job is gone.
    """
    found: Job | None = job
    for _ in range(ATTEMPTS):
        if found is None:
            return None
        wanted = step(found)
        if wanted is None:
            return found
        try:
            stored = ports.catalog.put(wanted)
        except Conflict:
            found = load(ports.catalog, job.tenant, job.id)
            continue
        if stored.has_ended and stored.notify:  # if this is lost, the reconciler makes up for it
            body = {"tenant": stored.tenant, "job_id": stored.id, "attempt": 0}
            ports.queue.send(NOTICES, [json.dumps(body).encode()])
        return stored
    raise Unavailable(f"The job {job.id} changes too quickly.", hint="Try again.")


def load(catalog: Catalog, tenant: str, job_id: int) -> Job | None:
    """The job as stored now."""
    return catalog.get(Job, tenant, job_id)


def fail(ports: Ports, job: Job, failure: Failure) -> None:
    """End the job as Failed, unless it has ended."""

    def step(found: Job) -> Job | None:
        if found.has_ended:
            return None
        return changed(found, ports.clock(), status="Failed", failure=failure)

    advance(ports, job, step)


def or_fail(ports: Ports, job: Job, work: Callable[[], T]) -> T | None:
    """What `work` returns; None when the job has been ended as Failed.

    That is done for an error that trying again cannot mend; the others pass.
    """
    try:
        return work()
    except HooklineError as error:
        if error.retryable:
            raise
        extra = {"tenant": job.tenant, "job_id": job.id, "code": error.code}
        log.warning("job_failed", extra=extra, exc_info=True)
        fail(ports, job, failure_of(error))
        return None


def failure_of(error: Exception) -> Failure:
    """The words of our own errors; nothing about others, which are in the log."""
    if isinstance(error, HooklineError):
        return Failure(code=error.code, message=str(error), trace=error.trace)
    return Failure(
        code=HooklineError.code,
        message="An internal error ended the job. Its cause is in the log of the platform.",
    )
