"""A day of one tenant, from its first key to an empty account: each step says what happened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hookline.core.records import JOB_ENDS
from tests.stacks.cloud import client
from tests.stacks.cloud.cloud import Cloud
from tests.stacks.cloud.processes import predict, predict_later
from tests.stacks.cloud.tenant import Tenant

DIGITS = Path(__file__).parents[3] / "examples" / "digits"
MODEL = (DIGITS / "digits.onnx").read_bytes()
CLASSIFY = {"formatter": "classification", "formatter_args": {"label": True}}
FILES = 20

Rows = list[list[str]]


def images(first: int = 0, count: int = FILES) -> dict[str, bytes]:
    paths = sorted((DIGITS / "images").glob("*.png"))[first : first + count]
    return {path.name: path.read_bytes() for path in paths}


@dataclass
class Day:
    """What came of the day of one tenant.

    `gone` are the states of its services in the end, `running` its tasks that go on.
    """

    model_id: int = 0
    stream_id: int = 0
    token: str = ""
    volume_id: int = 0
    answers: dict[str, str] = field(default_factory=dict)
    later: str = ""
    rows: Rows = field(default_factory=list)
    dropped: Rows = field(default_factory=list)
    stopped: dict[str, Any] = field(default_factory=dict)
    services: list[str] = field(default_factory=list)
    after_undeploy: int = 0
    gone: list[str] = field(default_factory=list)
    running: list[str] = field(default_factory=list)


def spend(cloud: Cloud, tenant: Tenant) -> Day:
    """Import, deploy, predict, batch, drop, stop, then delete all of it."""
    day = Day()
    _deploy(cloud, tenant, day)
    _predict(cloud, tenant, day)
    _batch(cloud, tenant, day)
    _drop(cloud, tenant, day)
    _stop(cloud, tenant, day)
    _leave(cloud, tenant, day)
    return day


def ended(cloud: Cloud, tenant: Tenant, job_id: int) -> dict[str, Any]:
    """The job, once it has."""
    cloud.until(
        lambda: client.job(tenant, job_id)["status"] in JOB_ENDS, f"The end of job {job_id}"
    )
    cloud.settle()
    return client.job(tenant, job_id)


def expect(cloud: Cloud, tenant: Tenant, stream_id: int, status: str) -> None:
    """Turn until a stream has that status, and nothing waits."""
    cloud.until(
        lambda: client.stream(tenant, stream_id)["status"] == status,
        f"That stream {stream_id} is {status}",
    )
    cloud.settle()


def services(cloud: Cloud, tenant: Tenant) -> dict[str, str]:
    """The status of the tenant's services, those of its stack left out."""
    return {
        name: service["status"]
        for name, service in cloud.account.ecs.services.items()
        if name.startswith(f"{tenant.name}--")
    }


def _deploy(cloud: Cloud, tenant: Tenant, day: Day) -> None:
    day.model_id = client.imported(tenant, MODEL)
    cloud.say(f"upload {len(MODEL)} bytes by a presigned PUT, import them: model {day.model_id}")
    body = {"model_id": day.model_id, **CLASSIFY}
    deployed = tenant.ask("POST", "/v1/streams", body)
    day.stream_id = deployed["id"]
    cloud.say(f"POST /v1/streams: stream {day.stream_id} is {deployed['status']}")
    day.token = deployed["presigned_token"]
    turns = cloud.until(lambda: _status(tenant, day) != "Deploying", "That the stream is deployed")
    day.services = list(services(cloud, tenant))
    (service,) = day.services
    (task,) = cloud.account.ecs.running(service)
    cloud.say(
        f"ECS service {service}, task {task['lastStatus']} and {task['healthStatus']}: "
        f"stream {day.stream_id} is {_status(tenant, day)} after {turns} turns"
    )


def _status(tenant: Tenant, day: Day) -> str:
    return str(client.stream(tenant, day.stream_id)["status"])


def _predict(cloud: Cloud, tenant: Tenant, day: Day) -> None:
    found = predict(tenant, cloud.replicas.sockets, day.token, list(images().values()))
    assert {status for status, _ in found} == {200}, found
    day.answers = {name: body.decode() for name, (_, body) in zip(images(), found, strict=True)}
    first = next(iter(day.answers))
    cloud.say(f"predict {len(found)} images through the gateway: {first} → {day.answers[first]}")
    day.later = predict_later(tenant, cloud.replicas.sockets, day.token, images()[first]).decode()
    cloud.say(f"upload {first}, predict it by reference and ask later: {day.later}")


def _batch(cloud: Cloud, tenant: Tenant, day: Day) -> None:
    day.volume_id = client.volume(tenant, images())
    cloud.say(f"upload {FILES} images into volume {day.volume_id} by presigned PUTs")
    job_id = client.submitted(tenant, day.model_id, day.volume_id, **CLASSIFY)
    job = ended(cloud, tenant, job_id)
    day.rows = client.rows(tenant, job_id)
    cloud.say(
        f"batch {job_id}: plan → shards → worker → parts → finish: {job['status']}, "
        f"{job['succeeded']} of {job['total']}; {len(day.rows)} rows by a presigned GET"
    )


def _drop(cloud: Cloud, tenant: Tenant, day: Day) -> None:
    place = f"/v1/volumes/{day.volume_id}"
    tenant.ask("POST", f"{place}/triggers", {"model_id": day.model_id, **CLASSIFY})
    cloud.say(f"watch volume {day.volume_id}")
    client.put(tenant, day.volume_id, images(FILES, 1))
    cloud.until(lambda: tenant.ask("GET", f"{place}/drops")["items"], "That the file is noticed")
    (drop,) = tenant.ask("GET", f"{place}/drops")["items"]
    job = ended(cloud, tenant, drop["job_id"])
    day.dropped = client.rows(tenant, drop["job_id"])
    cloud.say(
        f"drop {drop['name']}: S3 → EventBridge → SQS → drop → batch {drop['job_id']}: "
        f"{job['status']}, {day.dropped}"
    )
    tenant.ask("DELETE", f"{place}/triggers")
    cloud.say(f"unwatch volume {day.volume_id}")


def _stop(cloud: Cloud, tenant: Tenant, day: Day) -> None:
    """Once it is planned, and before a worker comes."""
    job_id = client.submitted(tenant, day.model_id, day.volume_id, **CLASSIFY)
    while client.job(tenant, job_id)["status"] == "Received":
        assert tenant.deliver()
    said = tenant.ask("POST", f"/v1/batches/{job_id}/stop")
    day.stopped = ended(cloud, tenant, job_id)
    cloud.say(f"stop batch {job_id}: {said['status']}, then {day.stopped['status']}")


def _leave(cloud: Cloud, tenant: Tenant, day: Day) -> None:
    tenant.ask("DELETE", f"/v1/streams/{day.stream_id}")
    turns = cloud.until(lambda: _status(tenant, day) == "Undeployed", "That the stream is gone")
    cloud.settle()
    cloud.say(f"undeploy stream {day.stream_id}: Undeployed after {turns} turns")
    ((day.after_undeploy, _),) = predict(tenant, cloud.replicas.sockets, day.token, [b""])
    cloud.say(f"predict with its token: {day.after_undeploy}")
    tenant.ask("DELETE", f"/v1/volumes/{day.volume_id}")
    tenant.ask("DELETE", f"/v1/models/{day.model_id}")
    cloud.say(f"delete volume {day.volume_id} and model {day.model_id}")
    cloud.settle()
    day.gone = list(services(cloud, tenant).values())
    day.running = [
        task["group"]
        for task in cloud.account.ecs.tasks.values()
        if task["lastStatus"] != "STOPPED" and task["group"].startswith(f"service:{tenant.name}--")
    ]
    cloud.say(f"left over: services {_counted(services(cloud, tenant))}, {left(cloud, tenant)}")


def left(cloud: Cloud, tenant: Tenant) -> dict[str, Any]:
    """Messages, records by kind and files by area that are still there."""
    return {
        "messages": cloud.unread(),
        "dead": cloud.dead(),
        "records": _counted(
            {
                str(at): item["sk"]["S"].partition("#")[0]
                for at, item in enumerate(items(cloud, tenant))
            }
        ),
        "files": _counted({key: key.split("/")[1] for key in files(cloud, tenant)}),
    }


def items(cloud: Cloud, tenant: Tenant) -> list[dict[str, Any]]:
    """Everything in the tenant's table."""
    table = tenant.storage.id_of("Catalog", "AWS::DynamoDB::Table")
    found: list[dict[str, Any]] = cloud.account.client("dynamodb").scan(TableName=table)["Items"]
    return found


def files(cloud: Cloud, tenant: Tenant) -> list[str]:
    """The keys in the tenant's bucket."""
    bucket = tenant.storage.id_of("Blobs", "AWS::S3::Bucket")
    found = cloud.account.client("s3").list_objects_v2(Bucket=bucket)
    return [one["Key"] for one in found.get("Contents", [])]


def _counted(kinds: Mapping[str, str]) -> dict[str, int]:
    values = list(kinds.values())
    return {kind: values.count(kind) for kind in sorted(set(values))}
