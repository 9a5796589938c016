"""Jobs whose message was lost: one that killed its host at every delivery lies among the dead.

Sending it again is safe, since planning and finishing twice changes nothing. Jobs are numbered in
the order they were made and an end is final, so those before the first that goes on are not read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import ClassVar

from hookline.control.listing import every
from hookline.core.errors import Conflict
from hookline.core.ports import MAX_PAGE, Ports
from hookline.core.records import Job, Notice, Record, Shard, number
from hookline.core.topology import FINISH, NOTICES, PLAN, SHARDS

OVERDUE_S = 900  # a job that has not moved for so long may wait for nothing
SWEEP_EVERY_S = 300


class Sweep(Record):
    """How far the jobs of a tenant have all ended, and when that was looked at."""

    kind: ClassVar[str] = "sweep"
    after: str = ""
    at: float

    @property
    def key(self) -> str:
        return Job.kind


def sweep(ports: Ports, tenant: str) -> None:
    """Send again what jobs of the tenant wait for, every SWEEP_EVERY_S."""
    now = ports.clock()
    last = ports.catalog.get(Sweep, tenant, Job.kind) or Sweep(tenant=tenant, at=0.0)
    if last.at <= now < last.at + SWEEP_EVERY_S:
        return
    after, is_first_open = last.after, False
    for job in _jobs(ports, tenant, last.after):
        notice = _unsettled(ports, job)
        is_first_open = is_first_open or not job.has_ended or notice is not None
        if not is_first_open:
            after = job.key
        if not job.has_ended and job.updated_at <= now - OVERDUE_S:
            _call_again(ports, job)
        # The longest wait between two attempts is as long.
        if notice is not None and notice.updated_at <= now - 2 * OVERDUE_S:
            _send(ports, NOTICES, job, attempt=notice.attempts)
    try:
        ports.catalog.put(last.changed(after=after, at=now))
    except Conflict:
        return  # another one swept at the same time


def _unsettled(ports: Ports, job: Job) -> Notice | None:
    """How far a job that has ended was told of, if that goes on."""
    if not job.has_ended or not job.notify:
        return None
    stored = ports.catalog.get(Notice, job.tenant, number(job.id))
    notice = stored or Notice(tenant=job.tenant, job_id=job.id, updated_at=job.updated_at)
    return notice if notice.status == "pending" else None


def _jobs(ports: Ports, tenant: str, after: str) -> Iterator[Job]:
    while True:
        page = ports.catalog.query(Job, tenant, after=after, limit=MAX_PAGE)
        yield from page.items
        if not page.after:
            return
        after = page.after


def _call_again(ports: Ports, job: Job) -> None:
    """Planning also calls the workers again: for shards that no message speaks of any more."""
    if job.status == "Received":
        _send(ports, PLAN, job)
    elif job.status == "Stopping" or _is_predicted(ports, job):
        _send(ports, FINISH, job)
    elif ports.queue.depth(SHARDS) == 0:
        _send(ports, PLAN, job)


def _is_predicted(ports: Ports, job: Job) -> bool:
    return all(shard.is_done for shard in every(ports, Shard, job.tenant, f"{number(job.id)}/"))


def _send(ports: Ports, queue: str, job: Job, **more: int) -> None:
    body = {"tenant": job.tenant, "job_id": job.id, **more}
    ports.queue.send(queue, [json.dumps(body).encode()])
