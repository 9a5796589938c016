"""Events of files that land, and the jobs that come of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hookline.adapters.embedded.wiring import BUCKET
from hookline.core.ports import Lease
from hookline.core.records import Job, volume_prefix
from hookline.core.topology import DROPS
from tests.unit.control.content import filled_volume, imported
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


def arrive(plane: Plane) -> list[str]:
    """Hand the drop function the messages that are due now; the ids of those that failed."""
    leases: list[Lease] = []
    while some := plane.ports.queue.receive(DROPS, 10, lease_s=60):
        leases += some
    records = [{"messageId": one.message_id, "body": one.body.decode()} for one in leases]
    answer = plane.handler("drop")({"Records": records}, None)
    failed = [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]
    for lease in leases:
        if lease.message_id not in failed:
            plane.ports.queue.ack(lease)
    return failed


def watched(plane: Plane, **fields: Any) -> int:
    """A watched volume of tenant a."""
    imported(plane)
    volume_id = filled_volume(plane, [])
    plane.made(f"/v1/volumes/{volume_id}/triggers", {"model_id": 1, **fields})
    return volume_id


def drop(plane: Plane, volume_id: int, name: str, data: bytes = b"1") -> str:
    """Store a file as an upload does; the event that tells of it."""
    key = volume_prefix("a", volume_id) + name
    plane.ports.blobs.put(key, data)
    return created(key, bucket=plane.ports.bucket)


def history(plane: Plane, volume_id: int) -> dict[str, tuple[str, int | None, str]]:
    """Outcome, job and reason of each name; of its latest version in the listing."""
    items = plane.shown(f"/v1/volumes/{volume_id}/drops?limit=1000")["items"]
    return {item["name"]: (item["outcome"], item["job_id"], item["reason"]) for item in items}


def jobs(plane: Plane) -> list[Job]:
    """Every job of tenant a."""
    return list(plane.ports.catalog.query(Job, "a", limit=1000).items)


def names(plane: Plane) -> list[list[str]]:
    """The names in every job of tenant a."""
    return [[file["name"] for file in files(plane, job)] for job in jobs(plane)]


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
