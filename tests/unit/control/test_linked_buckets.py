"""Volumes that link to buckets, over the ports of AWS."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import pytest

from hookline.control.users import bootstrap
from tests.contract.adapters import require_moto
from tests.fakes import FakeClock
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


def test_objects_of_a_deleted_volume_stay(plane: Plane) -> None:
    put("in/a.png")
    plane.made("/v1/volumes", {"name": "v", "link": f"s3://{PHOTOS}/in"})

    assert plane("DELETE", "/v1/volumes/1").status == 204
    assert plane.ports.linked(f"s3://{PHOTOS}/in").stat("a.png") is not None
