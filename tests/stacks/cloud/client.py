"""What a user does, over the API and presigned requests alone."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from tests.stacks.cloud.tenant import Tenant


def uploaded(tenant: Tenant, data: bytes) -> str:
    """Store a file and return its sha256."""
    digest = sha256(data).hexdigest()
    body = {"sha256": digest, "size_bytes": len(data)}
    slot = tenant.ask("POST", "/v1/uploads", body)
    if slot["request"]:
        tenant.follow(slot["request"], data)
    return digest


def imported(tenant: Tenant, data: bytes, name: str = "digits") -> int:
    body = {"name": name, "sha256": uploaded(tenant, data)}
    model_id: int = tenant.ask("POST", "/v1/models", body)["id"]
    return model_id


def volume(tenant: Tenant, files: Mapping[str, bytes], name: str = "inbox") -> int:
    """A new volume with these files."""
    volume_id: int = tenant.ask("POST", "/v1/volumes", {"name": name})["id"]
    if files:
        put(tenant, volume_id, files)
    return volume_id


def put(tenant: Tenant, volume_id: int, files: Mapping[str, bytes]) -> None:
    """Upload files into a volume, each by the request that was signed for it."""
    wanted = [{"name": name, "size_bytes": len(data)} for name, data in files.items()]
    slots = tenant.ask("POST", f"/v1/volumes/{volume_id}/uploads", {"files": wanted})["items"]
    for slot in slots:
        tenant.follow(slot["request"], files[slot["name"]])


def job(tenant: Tenant, job_id: int) -> dict[str, Any]:
    found: dict[str, Any] = tenant.ask("GET", f"/v1/batches/{job_id}")
    return found


def submitted(tenant: Tenant, model_id: int, volume_id: int, **more: object) -> int:
    body = {"model_id": model_id, "volume_id": volume_id, **more}
    job_id: int = tenant.ask("POST", "/v1/batches", body)["id"]
    return job_id


def rows(tenant: Tenant, job_id: int) -> list[list[str]]:
    """Of the results, checked against their digest."""
    found = tenant.ask("GET", f"/v1/batches/{job_id}/results")
    data = tenant.follow(found["request"])
    assert (len(data), sha256(data).hexdigest()) == (found["size_bytes"], found["sha256"])
    return list(csv.reader(io.StringIO(data.decode())))


def names_of_parts(tenant: Tenant, job_id: int) -> list[str]:
    """Of the rows in the parts of a job."""
    parts = tenant.ask("GET", f"/v1/batches/{job_id}/parts")["items"]
    lines = b"".join(tenant.follow(part["request"]) for part in parts).splitlines()
    return [json.loads(line)["name"] for line in lines]


def stream(tenant: Tenant, stream_id: int) -> dict[str, Any]:
    found: dict[str, Any] = tenant.ask("GET", f"/v1/streams/{stream_id}")
    return found
