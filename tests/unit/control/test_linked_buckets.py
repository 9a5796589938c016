"""Volumes that link to buckets, over the ports of AWS."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from hookline.control.sweep import SETTLE_S
from hookline.control.users import bootstrap
from hookline.core.records import volume_prefix
from hookline.core.topology import DROPS
from tests.contract.adapters import require_moto
from tests.fakes import FakeClock
from tests.unit.control.content import filled_volume, imported
from tests.unit.control.dropping import created, deliver, files, jobs, names_told, sweep
from tests.unit.control.events import USER, Plane

PHOTOS = "photos"


@pytest.fixture
def plane(clock: FakeClock) -> Iterator[Plane]:
    """A control plane on AWS, and a bucket that may be linked to."""
    require_moto()
    from tests.unit.adapters.aws.world import make_bucket, moto_ports, shared_clients  # noqa: PLC0415

    with moto_ports(clock) as ports:
        make_bucket(shared_clients(), PHOTOS)
        bootstrap(ports, "a", "ada")
        yield Plane(ports)


def put(key: str, data: bytes = b"12") -> None:
    """Store an object in the bucket of others."""
    from tests.unit.adapters.aws.world import shared_clients  # noqa: PLC0415

    shared_clients().s3.put_object(Bucket=PHOTOS, Key=key, Body=data)


@pytest.mark.parametrize("prefix", ["in", "my pictures", "a+b", "100%", "ü/ñ"])
def test_a_linked_bucket_is_kept_as_a_uri_and_read(plane: Plane, prefix: str) -> None:
    put(f"{prefix}/sub/ä 1+%.png")
    put(f"{prefix}2/other.png")

    volume = plane.made("/v1/volumes", {"name": "v", "link": f"s3://{PHOTOS}/{prefix}/"})

    assert volume["link"] == volume["location"] == f"s3://{PHOTOS}/{quote(prefix)}"
    shown = plane.shown("/v1/volumes/1")
    assert (shown["total_files"], shown["size_bytes"]) == (1, 2)
    [file] = plane.shown("/v1/volumes/1/files")["items"]
    assert file["name"] == "sub/ä 1+%.png"


@pytest.mark.parametrize("link", ["/data/images", "file:///data/images", "data", "http://x/y"])
def test_only_buckets_can_be_linked_on_aws_and_the_answer_says_so(plane: Plane, link: str) -> None:
    answer = plane("POST", "/v1/volumes", {"name": "v", "link": link})

    assert answer.status == 422
    assert "s3://bucket/prefix" in answer.body["detail"]
    assert plane.shown("/v1/volumes")["items"] == []


def test_a_bucket_that_is_not_there_is_refused(plane: Plane) -> None:
    answer = plane("POST", "/v1/volumes", {"name": "v", "link": "s3://never-made/in"})

    assert answer.status == 404


def test_only_an_admin_links_buckets(plane: Plane) -> None:
    body = {"name": "v", "link": f"s3://{PHOTOS}"}

    assert plane("POST", "/v1/volumes", body, who=USER).status == 403


def test_the_bucket_of_the_platform_cannot_be_linked(plane: Plane) -> None:
    own = plane.ports.blobs.uri("b/volumes/1")

    assert plane("POST", "/v1/volumes", {"name": "v", "link": own}).status == 403


def watched(plane: Plane, link: str) -> None:
    """A watched volume that links there."""
    imported(plane)
    volume = plane.made("/v1/volumes", {"name": "v", "link": link})
    plane.made(f"/v1/volumes/{volume['id']}/triggers", {"model_id": 1})


@pytest.mark.parametrize("name", ["a.png", "sub/b c+d.png", "ü%20.png", 'q"u\nx?y#z.png'])
def test_an_object_that_lands_in_a_linked_bucket_becomes_a_job(plane: Plane, name: str) -> None:
    watched(plane, f"s3://{PHOTOS}/in put")
    put(f"in put/{name}")

    assert deliver(plane, [created(f"in put/{name}", bucket=PHOTOS)]) == []

    assert [(f["name"], f["size"]) for f in files(plane, jobs(plane)[0])] == [(name, 2)]


def test_an_object_of_a_wholly_linked_bucket_that_looks_like_an_upload_is_linked(
    plane: Plane,
) -> None:
    watched(plane, f"s3://{PHOTOS}")
    uploads = filled_volume(plane, [])
    plane.made(f"/v1/volumes/{uploads}/triggers", {"model_id": 1})
    key = f"a/volumes/{uploads}/x.png"
    put(key)
    plane.ports.blobs.put(key, b"mine")

    deliver(plane, [created(key, bucket=PHOTOS)])

    [job] = jobs(plane)
    assert (job.volume_id, files(plane, job)[0]["name"]) == (1, key)


@pytest.mark.parametrize(
    ("bucket", "key"),
    [
        (PHOTOS, "in2/a.png"),
        (PHOTOS, "a.png"),
        (PHOTOS, "in/"),
        (PHOTOS, "in/sub/"),
        ("photos2", "in/a.png"),
        ("hookline-t", "in/a.png"),
        ("hookline-t", "s3://photos/in/a.png"),
    ],
)
def test_objects_elsewhere_make_no_job(plane: Plane, bucket: str, key: str) -> None:
    watched(plane, f"s3://{PHOTOS}/in")
    put("in/a.png")

    assert deliver(plane, [created(key, bucket=bucket)]) == []
    assert jobs(plane) == []


def test_a_linked_bucket_tells_of_its_objects_through_eventbridge(plane: Plane) -> None:
    name = "sub/ä 1+%.png"
    watched(plane, f"s3://{PHOTOS}/in")
    tell_through_eventbridge(PHOTOS)
    put(f"in/{name}")

    leases = plane.ports.queue.receive(DROPS, 10, lease_s=60)
    assert deliver(plane, [lease.body.decode() for lease in leases]) == []

    assert [file["name"] for file in files(plane, jobs(plane)[0])] == [name]


def tell_through_eventbridge(bucket: str) -> None:
    """What the owner of the bucket does, and the rule that the tenant's stack has."""
    from tests.unit.adapters.aws.world import REGION, session_in, shared_clients  # noqa: PLC0415

    clients = shared_clients()
    clients.s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    url = clients.sqs.get_queue_url(QueueName=DROPS)["QueueUrl"]
    queue = clients.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    pattern = {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {"bucket": {"name": [bucket]}},
    }
    events: Any = session_in(REGION).create_client("events")  # it has no types here
    events.put_rule(Name="linked", EventPattern=json.dumps(pattern))
    arn = queue["Attributes"]["QueueArn"]
    events.put_targets(Rule="linked", Targets=[{"Id": "drops", "Arn": arn}])


def test_objects_of_a_deleted_volume_stay(plane: Plane) -> None:
    put("in/a.png")
    plane.made("/v1/volumes", {"name": "v", "link": f"s3://{PHOTOS}/in"})

    assert plane("DELETE", "/v1/volumes/1").status == 204
    assert plane.ports.linked(f"s3://{PHOTOS}/in").stat("a.png") is not None


@pytest.mark.parametrize("link", ["", f"s3://{PHOTOS}", f"s3://{PHOTOS}/in put"])
def test_an_object_of_which_no_event_came_is_found_by_the_sweep(
    plane: Plane, clock: FakeClock, link: str
) -> None:
    name = "sub/ä 1+%.png"
    imported(plane)
    volume = plane.made("/v1/volumes", {"name": "v", "link": link})
    plane.made(f"/v1/volumes/{volume['id']}/triggers", {"model_id": 1})
    if link:
        put(f"{link.removeprefix(f's3://{PHOTOS}')}/{name}".removeprefix("/"))
    else:
        plane.ports.blobs.put(volume_prefix("a", volume["id"]) + name, b"12")
    clock.now = time.time() + SETTLE_S + 1

    assert deliver(plane, sweep(plane)) == []

    assert [(f["name"], f["size"]) for f in files(plane, jobs(plane)[0])] == [(name, 2)]
    assert sweep(plane) == []


def test_what_is_no_file_that_hookline_can_keep_is_told_of_once(
    plane: Plane, clock: FakeClock
) -> None:
    watched(plane, f"s3://{PHOTOS}/in")
    for key in ("in/b//c.png", "in/folder/"):
        put(key)
    clock.now = time.time() + SETTLE_S + 1

    assert deliver(plane, sweep(plane)) == []

    [drop] = plane.shown("/v1/volumes/1/drops")["items"]
    assert (drop["name"], drop["job_id"]) == ("b//c.png", None)
    assert sweep(plane) == []
    assert jobs(plane) == []


def test_a_linked_bucket_that_was_closed_keeps_no_other_waiting(
    plane: Plane, clock: FakeClock
) -> None:
    from tests.unit.adapters.aws.world import shared_clients  # noqa: PLC0415

    watched(plane, f"s3://{PHOTOS}/in")
    shared_clients().s3.delete_bucket(Bucket=PHOTOS)
    uploads = filled_volume(plane, ["a.png"])
    plane.made(f"/v1/volumes/{uploads}/triggers", {"model_id": 1})
    clock.now = time.time() + SETTLE_S + 1

    assert names_told(sweep(plane)) == ["a.png"]
