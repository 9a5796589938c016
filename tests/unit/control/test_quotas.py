"""What a tenant may have at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hookline.core.ports import Catalog, Delete, Ports, Put, Quotas
from hookline.core.records import Stream
from tests.unit.control.content import imported, onnx_bytes, uploaded
from tests.unit.control.events import OTHER, Answer, Plane


def limited(ports: Ports, **quotas: int) -> Plane:
    """A plane with a model, and these quotas for each tenant."""
    plane = Plane(replace(ports, quotas=Quotas(**quotas)))
    imported(plane)
    return plane


def deploy(plane: Plane, **fields: Any) -> Answer:
    return plane("POST", "/v1/streams", {"model_id": 1, **fields})


def ended(plane: Plane, stream_id: int, status: str) -> None:
    stream = plane.ports.catalog.get(Stream, "a", stream_id)
    assert stream is not None
    plane.ports.catalog.put(stream.changed(status=status))


def test_one_machine_has_no_quotas(plane: Plane) -> None:
    assert plane.ports.quotas == Quotas(streams=None, replicas=None)


def test_one_stream_too_many_is_refused_with_a_sentence(ports: Ports) -> None:
    plane = limited(ports, streams=2)
    assert [deploy(plane).status for _ in range(2)] == [201, 201]

    refused = deploy(plane)

    assert (refused.status, refused.body["code"]) == (409, "quota_exceeded")
    assert refused.body["title"] == "Your tenant may have 2 streams, and would have 3."
    assert len(plane.shown("/v1/streams")["items"]) == 2


@pytest.mark.parametrize("status", ["Failed", "Undeployed"])
def test_streams_that_have_ended_do_not_count(ports: Ports, status: str) -> None:
    plane = limited(ports, streams=1, replicas=1)
    deploy(plane)
    ended(plane, 1, status)

    assert deploy(plane).status == 201


def test_a_stream_counts_with_as_many_replicas_as_it_may_have(ports: Ports) -> None:
    plane = limited(ports, replicas=5)
    assert deploy(plane, min_replicas=0, max_replicas=3).status == 201
    refused = deploy(plane, replicas=3)
    assert refused.body["title"] == "Your tenant may have 5 replicas, and would have 6."
    assert deploy(plane, replicas=2).status == 201


def test_a_change_is_held_to_the_quotas_where_it_takes_more(ports: Ports) -> None:
    plane = limited(ports, replicas=3)
    deploy(plane, replicas=2)
    ended(plane, 1, "Running")
    strict = Plane(replace(plane.ports, quotas=Quotas(replicas=1)))

    assert plane("PATCH", "/v1/streams/1", {"max_replicas": 4}).status == 409
    assert plane("PATCH", "/v1/streams/1", {"max_replicas": 3}).status == 202
    assert strict("PATCH", "/v1/streams/1", {"max_replicas": 2}).status == 202


def test_a_failed_stream_that_is_mended_counts_again(ports: Ports) -> None:
    plane = limited(ports, streams=1)
    deploy(plane)
    ended(plane, 1, "Failed")
    deploy(plane)

    assert plane("PATCH", "/v1/streams/1", {"formatter": "raw"}).body["code"] == "quota_exceeded"


def test_a_repeated_request_is_answered_as_before_when_the_quota_is_full(ports: Ports) -> None:
    plane = limited(ports, streams=1)
    key = {"idempotency-key": "k"}
    first, again = (plane("POST", "/v1/streams", {"model_id": 1}, headers=key) for _ in range(2))

    assert (first.status, again.status) == (201, 201)
    assert first.body["id"] == again.body["id"]


class Interrupted:
    """A catalog in which something happens just before the first transaction."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self.first: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._catalog, name)

    def transact(self, writes: list[Put | Delete]) -> None:
        while self.first:
            self.first.pop()()
        self._catalog.transact(writes)


@pytest.mark.parametrize("how", ["deploy", "change"])
def test_two_at_once_do_not_exceed_a_quota_together(ports: Ports, how: str) -> None:
    plane = limited(ports, replicas=3)
    deploy(plane)
    ended(plane, 1, "Running")
    catalog = Interrupted(plane.ports.catalog)
    other = Plane(replace(plane.ports, catalog=catalog))  # type: ignore[arg-type]  # passes on
    another = imported(plane)["id"]  # two of one model would notice each other by that
    catalog.first.append(lambda: deploy(plane, model_id=another, replicas=2))

    if how == "deploy":
        refused = deploy(other, replicas=2)
    else:
        refused = other("PATCH", "/v1/streams/1", {"max_replicas": 3})

    assert refused.body["code"] == "quota_exceeded"


def test_tenants_have_their_quotas_apart(ports: Ports) -> None:
    plane = limited(ports, streams=1)
    deploy(plane)
    sha256 = uploaded(plane, onnx_bytes(), tenant="b")
    plane.made("/v1/models", {"name": "digits", "sha256": sha256}, who=OTHER)

    assert plane("POST", "/v1/streams", {"model_id": 1}, who=OTHER).status == 201
