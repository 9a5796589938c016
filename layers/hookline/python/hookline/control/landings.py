"""Events of files that landed, in S3's form: keys of linked folders are their URIs."""

from __future__ import annotations

import json
from urllib.parse import quote

from hookline.core.links import Link
from hookline.core.ports import BlobInfo, Ports
from hookline.core.records import Volume

CREATED = "Object Created"


def event_of(ports: Ports, volume: Volume, blob: BlobInfo) -> bytes:
    """What says that a file of the volume landed, as EventBridge puts it on a queue."""
    bucket, key = _place(ports, volume, blob.key)
    event = {
        "version": "0",
        "source": "aws.s3",
        "detail-type": CREATED,
        "detail": {
            "bucket": {"name": bucket},
            "object": {"key": key, "size": blob.size_bytes, "etag": blob.etag},
        },
    }
    return json.dumps(event).encode()


def created(body: str) -> tuple[str, str]:
    """Bucket and key of what was created; no key for an event about something else.

    Keys are as they are: S3 encodes them in its own notifications, not in EventBridge's events.
    """
    event = json.loads(body)
    if event.get("detail-type") != CREATED:
        return "", ""
    detail = event["detail"]
    return str(detail["bucket"]["name"]), str(detail["object"]["key"])


def _place(ports: Ports, volume: Volume, key: str) -> tuple[str, str]:
    """Bucket and key by which an event names the file with this key in the volume's source."""
    link = Link.parse(volume.link)
    if link is None:
        return ports.bucket, key
    if link.scheme == "s3":
        return link.host, f"{link.path}/{key}".removeprefix("/")
    return ports.bucket, f"{volume.link.rstrip('/')}/{quote(key)}"
