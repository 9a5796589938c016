"""Turn functions of one message into handlers of SQS events with partial failures."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

from hookline.batch import jobs
from hookline.core.errors import HooklineError
from hookline.core.ports import Ports
from hookline.core.topology import Handler, queue_spec

log = logging.getLogger(__name__)

Work = Callable[[str, int], None]

PAUSE_S = 60


def queue_handler(ports: Ports, queue: str, work: Work) -> Handler:
    """A handler that calls `work(tenant, job_id)` per message and reports the failed ones.

    No job waits for a dead letter: when the last delivery fails, a message whose error may pass is
    sent afresh, and any other error ends the job.
    """

    def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
        failed = [
            {"itemIdentifier": record["messageId"]}
            for record in event["Records"]
            if not _survived(ports, queue, record, work)
        ]
        return {"batchItemFailures": failed}

    return handler


def _survived(ports: Ports, queue: str, record: dict[str, Any], work: Work) -> bool:
    try:
        body = json.loads(record["body"])
        tenant, job_id = str(body["tenant"]), int(body["job_id"])
    except (ValueError, KeyError, TypeError):
        log.exception("message_malformed", extra={"message_id": record["messageId"]})
        return True  # it will not get better
    try:
        work(tenant, job_id)
    except Exception as error:
        log.exception("message_failed", extra={"tenant": tenant, "job_id": job_id})
        if _receives(record) < queue_spec(queue).max_receives:
            return False
        _last_resort(ports, queue, tenant, job_id, error)
    return True


def _last_resort(ports: Ports, queue: str, tenant: str, job_id: int, error: Exception) -> None:
    if isinstance(error, HooklineError) and error.retryable:
        ports.queue.send(queue, [message(tenant, job_id)], delay_s=PAUSE_S)
        return
    job = jobs.load(ports.catalog, tenant, job_id)
    if job is not None:
        jobs.fail(ports, job, jobs.failure_of(error))


def _receives(record: dict[str, Any]) -> int:
    return int(record.get("attributes", {}).get("ApproximateReceiveCount", 1))


def message(tenant: str, job_id: int, **more: int) -> bytes:
    """The body of a message about a job."""
    return json.dumps({"tenant": tenant, "job_id": job_id, **more}).encode()
