"""The notify function: tells a URL or a topic that a job has ended, at least once.

What did not get through is tried again by a message that comes later. A Notice record per job says
how often, so a message that comes twice, or is out of date, does nothing.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

from hookline.control import signing, webhook
from hookline.core.errors import Conflict, HooklineError
from hookline.core.ports import Ports
from hookline.core.records import Job, Notice, number
from hookline.core.targets import OPEN_INTERNET, TOPIC_PREFIX, Targets
from hookline.core.topology import NOTICES, Handler

log = logging.getLogger(__name__)

RETRY_AFTER_S = (10, 30, 120, 300, 900, 900, 900)
WELL = range(200, 300)

Publish = Callable[[str, bytes], None]
"""Send a message to a topic. Raise a HooklineError if it was not taken."""

Post = Callable[[Targets, str, Mapping[str, str], bytes], int]


def build(
    ports: Ports,
    targets: Targets = OPEN_INTERNET,
    publish: Publish | None = None,
    post: Post = webhook.post,
) -> Handler:
    """The handler of notices: {"tenant", "job_id", "attempt"}."""

    def handle(event: dict[str, Any], _context: object) -> dict[str, Any]:
        failed = []
        for record in event["Records"]:
            try:
                told = json.loads(record["body"])
                job = ports.catalog.get(Job, str(told["tenant"]), int(told["job_id"]))
                if job is not None and job.has_ended and job.notify:
                    _try(ports, job, int(told.get("attempt", 0)), sender(job))
            except Exception:  # the edge around a message
                log.exception("notify_failed", extra={"message_id": record["messageId"]})
                failed.append({"itemIdentifier": record["messageId"]})
        return {"batchItemFailures": failed}

    def sender(job: Job) -> Callable[[], str]:
        return lambda: _sent(ports, targets, job, publish, post)

    return handle


def _try(ports: Ports, job: Job, attempt: int, send: Callable[[], str]) -> None:
    stored = ports.catalog.get(Notice, job.tenant, number(job.id))
    notice = stored or Notice(tenant=job.tenant, job_id=job.id, updated_at=ports.clock())
    if notice.status != "pending" or notice.attempts != attempt:
        return
    fault = send()
    tried = notice.changed(attempts=attempt + 1, answer=fault, updated_at=ports.clock())
    if not fault:
        tried = tried.changed(status="delivered")
    elif attempt >= len(RETRY_AFTER_S):
        tried = tried.changed(status="failed")
    else:
        # Before the record: a message that is out of date does nothing, one that is missing harms.
        body = {"tenant": job.tenant, "job_id": job.id, "attempt": attempt + 1}
        ports.queue.send(NOTICES, [json.dumps(body).encode()], delay_s=RETRY_AFTER_S[attempt])
    try:
        ports.catalog.put(tried)
    except Conflict:
        return  # the same message came twice at once
    extra = {"tenant": job.tenant, "job_id": job.id, "status": tried.status}
    log.info("notice_tried", extra=extra)


def _sent(ports: Ports, targets: Targets, job: Job, publish: Publish | None, post: Post) -> str:
    """Why it did not get through; empty if it did."""
    body = json.dumps(_told(job)).encode()
    try:
        targets.check(job.notify)
        if job.notify.startswith(TOPIC_PREFIX):
            if publish is None:
                return "This process cannot publish to topics."
            publish(job.notify, body)
            return ""
        secret = signing.require(ports, job.tenant)
        headers = signing.headers(secret, _id(job), body, ports.clock())
        status = post(targets, job.notify, headers, body)
    except HooklineError as error:
        return str(error)
    return "" if status in WELL else f"The answer was {status}, which is no success."


def _id(job: Job) -> str:
    """The same for every attempt: receivers tell doubled notices by it."""
    return f"{job.tenant}-job-{job.id}"


def _told(job: Job) -> dict[str, object]:
    names = ("id", "status", "model_id", "volume_id", "trigger_id", "total", "succeeded", "failed")
    return {
        "type": "job.ended",
        "id": _id(job),
        "tenant": job.tenant,
        "ended_at": job.updated_at,
        "job": {name: getattr(job, name) for name in names},
        "failure": job.failure.message if job.failure else None,
        "results": f"/v1/batches/{job.id}/results" if job.results_key else None,
    }
