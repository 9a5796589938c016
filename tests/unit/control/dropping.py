"""Events of files that land, and the jobs that come of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hookline.adapters.embedded.wiring import BUCKET
from hookline.core.records import Job
from hookline.core.topology import DROPS
from tests.unit.control.events import Plane


def created(key: str, *, bucket: str = BUCKET) -> str:
    """S3's event as EventBridge puts it on a queue."""
    return json.dumps(
        {
            "source": "aws.s3",
            "detail-type": "Object Created",
            "detail": {"bucket": {"name": bucket}, "object": {"key": key, "size": 1, "etag": "e"}},
        }
    )


def deliver(plane: Plane, bodies: Sequence[str]) -> list[str]:
    """Hand these messages to the drop function; the ids, from 0 on, of those that failed."""
    records = [{"messageId": str(n), "body": body} for n, body in enumerate(bodies)]
    answer = plane.handler("drop")({"Records": records}, None)
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def jobs(plane: Plane) -> list[Job]:
    """Every job of tenant a."""
    return list(plane.ports.catalog.query(Job, "a", limit=1000).items)


def files(plane: Plane, job: Job) -> list[dict[str, Any]]:
    """What a job of a trigger is limited to."""
    with plane.ports.blobs.open(job.only) as blob:
        return [json.loads(line) for line in blob]


def sweep(plane: Plane) -> list[str]:
    """Call the sweep once; the messages that it sent, taken off their queue."""
    plane.handler("sweep")({"detail-type": "Scheduled Event"}, None)
    return told(plane)


def told(plane: Plane) -> list[str]:
    """What waits for the drop function, taken."""
    return [json.dumps(body) for body in plane.take(DROPS)]


def names_told(bodies: Sequence[str]) -> list[str]:
    """The last part of each key, in order."""
    keys = [json.loads(body)["detail"]["object"]["key"] for body in bodies]
    return sorted(key.rpartition("/")[2] for key in keys)
