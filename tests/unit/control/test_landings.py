from __future__ import annotations

import json
from dataclasses import replace

import pytest

from hookline.control.landings import created, event_of
from hookline.core.links import canonical
from hookline.core.ports import BlobInfo, Ports
from hookline.core.records import Volume


def volume(link: str) -> Volume:
    return Volume(tenant="acme", id=1, name="v", link=canonical(link), created_at=0.0)


def test_a_file_that_landed_becomes_an_object_created_event(ports: Ports) -> None:
    blob = BlobInfo("acme/volumes/1/a b.png", 3, "e1", 0.0)
    event = json.loads(event_of(replace(ports, bucket="mine"), volume(""), blob))
    assert event["detail-type"] == "Object Created"
    assert event["detail"]["bucket"] == {"name": "mine"}
    assert event["detail"]["object"] == {"key": "acme/volumes/1/a b.png", "size": 3, "etag": "e1"}


@pytest.mark.parametrize(
    ("link", "bucket", "key"),
    [
        ("", "mine", "sub/a b+%.png"),
        ("s3://photos", "photos", "sub/a b+%.png"),
        ("s3://photos/in put/", "photos", "in put/sub/a b+%.png"),
        ("/data/in put", "mine", "file:///data/in%20put/sub/a%20b%2B%25.png"),
    ],
)
def test_an_event_names_a_file_as_the_store_it_is_in_does(
    ports: Ports, link: str, bucket: str, key: str
) -> None:
    blob = BlobInfo("sub/a b+%.png", 3, "e1", 0.0)
    body = event_of(replace(ports, bucket="mine"), volume(link), blob).decode()
    assert created(body) == (bucket, key)
