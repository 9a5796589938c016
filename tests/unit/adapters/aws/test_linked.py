from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import pytest
from botocore.stub import Stubber

from hookline.adapters.aws.clients import Clients
from hookline.adapters.aws.linked import LinkedBucket, open_link
from hookline.core.errors import Forbidden, InvalidInput, NotFound
from tests.fakes import FakeClock
from tests.unit.adapters.aws.world import BUCKET, fresh_clients, make_bucket, moto_clients


@pytest.fixture
def clients() -> Iterator[Clients]:
    with moto_clients(FakeClock()) as clients:
        make_bucket(clients, "photos")
        for key in ["in/a.jpg", "in/b/c.jpg", "in2/d.jpg", "top.jpg"]:
            clients.s3.put_object(Bucket="photos", Key=key, Body=key.encode())
        yield clients


def opened(clients: Clients, uri: str) -> LinkedBucket:
    return open_link(uri, clients=clients, own_bucket=BUCKET)


@pytest.mark.parametrize("uri", ["s3://photos/in", "s3://photos/in/"])
def test_a_linked_prefix_is_read_as_if_it_were_alone(clients: Clients, uri: str) -> None:
    linked = opened(clients, uri)

    assert [info.key for info in linked.list("").items] == ["a.jpg", "b/c.jpg"]
    assert [info.key for info in linked.list("b/").items] == ["b/c.jpg"]
    assert [info.key for info in linked.list("", after="a.jpg").items] == ["b/c.jpg"]
    with linked.open("a.jpg") as file:
        assert file.read() == b"in/a.jpg"
    assert linked.stat("top.jpg") is None
    assert linked.uri("b/") == "s3://photos/in/b/"


def test_a_whole_bucket_can_be_linked(clients: Clients) -> None:
    linked = opened(clients, "s3://photos")

    assert len(linked.list("").items) == 4
    assert linked.uri("") == "s3://photos/"


def test_a_prefix_may_be_quoted(clients: Clients) -> None:
    clients.s3.put_object(Bucket="photos", Key="my files/e.jpg", Body=b"e")

    assert [info.key for info in opened(clients, "s3://photos/my%20files").list("").items] == [
        "e.jpg"
    ]


@pytest.mark.parametrize("prefix", ["a b+c", "100%", "ü/ñ", "q?#&=", "%2F", 'a"b\nc'])
def test_a_prefix_of_any_characters_is_found_by_its_uri(clients: Clients, prefix: str) -> None:
    clients.s3.put_object(Bucket="photos", Key=f"{prefix}/e.jpg", Body=b"e")
    uri = f"s3://photos/{quote(prefix)}"

    linked = opened(clients, uri)

    assert [info.key for info in linked.list("").items] == ["e.jpg"]
    assert linked.uri("") == f"{uri}/"


@pytest.mark.parametrize("uri", ["s3://photos//in", "s3://photos/in//", "s3://photos/../in"])
def test_a_prefix_that_no_name_can_have_is_refused(clients: Clients, uri: str) -> None:
    with pytest.raises(InvalidInput, match="not allowed in a path"):
        opened(clients, uri)


def test_a_bucket_that_may_not_be_read_says_where_to_name_it() -> None:
    clients = fresh_clients()
    with Stubber(clients.s3) as stub:
        stub.add_client_error("list_objects_v2", "AccessDenied", http_status_code=403)
        with pytest.raises(Forbidden, match=r"s3://photos/in/.*hookline:linked-buckets"):
            opened(clients, "s3://photos/in").list("", limit=1)


def test_every_change_is_refused(clients: Clients) -> None:
    linked = opened(clients, "s3://photos/in")
    for call in (
        lambda: linked.put("a.jpg", b"x"),
        lambda: linked.writer("a.jpg"),
        lambda: linked.delete("a.jpg"),
        lambda: linked.presign("GET", "a.jpg"),
        lambda: linked.presign("PUT", "a.jpg"),
    ):
        with pytest.raises(Forbidden, match=r"a\.jpg belongs to s3://photos/in/"):
            call()


@pytest.mark.parametrize(
    "uri",
    [
        *["file:///etc", "/etc", "s3:///x", "s3://", "https://photos/in", "s3://photos/in?x=1"],
        *["s3://photos/in#x", "s3://user@photos/in", "s3://Photos/in", "s3://[/in", "s3://a/b"],
        "s3://arn:aws:s3:::photos/in",
        "s3://photos/%ff",
    ],
)
def test_what_is_not_a_bucket_is_refused(uri: str) -> None:
    with pytest.raises(InvalidInput, match="s3://bucket/prefix"):
        opened(fresh_clients(), uri)


@pytest.mark.parametrize("uri", [f"s3://{BUCKET}", f"s3://{BUCKET}/other/volumes/1"])
def test_the_bucket_of_the_platform_cannot_be_linked(uri: str) -> None:
    with pytest.raises(Forbidden, match="cannot be linked"):
        opened(fresh_clients(), uri)


def test_a_bucket_that_is_not_there_is_told_of_when_it_is_listed(clients: Clients) -> None:
    with pytest.raises(NotFound):
        opened(clients, "s3://never-made").list("", limit=1)
