"""What is put to use cannot be deleted in the moment between the check and the commit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from hookline.core.models import Model
from hookline.core.ports import Delete, Put
from hookline.core.records import Job, Stream, Volume
from hookline.core.triggers import Trigger
from tests.unit.control.content import filled_volume, imported
from tests.unit.control.events import Answer, Plane


class Interrupted:
    """A catalog where someone else comes first, once, just before a transaction."""

    def __init__(self, catalog: Any, interruption: Callable[[], object]) -> None:
        self._catalog, self._interruptions = catalog, [interruption]

    def transact(self, writes: Sequence[Put | Delete]) -> None:
        if self._interruptions:
            self._interruptions.pop()()
        self._catalog.transact(writes)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._catalog, name)


def interrupted(plane: Plane, interruption: Callable[[], object]) -> Plane:
    catalog = Interrupted(plane.ports.catalog, interruption)
    return Plane(replace(plane.ports, catalog=catalog))


@pytest.mark.parametrize("gone", ["model", "volume", "bundle"])
@pytest.mark.parametrize("use", ["stream", "batch", "trigger"])
def test_what_is_deleted_meanwhile_is_not_put_to_use(plane: Plane, use: str, gone: str) -> None:
    imported(plane)
    volume_id, bundle_id = filled_volume(plane), filled_volume(plane, ["inference.py"])
    body: dict[str, Any] = {"model_id": 1, "bundle": {"volume_id": bundle_id}}
    path = {
        "stream": "/v1/streams",
        "batch": "/v1/batches",
        "trigger": f"/v1/volumes/{volume_id}/triggers",
    }[use]
    if use == "batch":
        body["volume_id"] = volume_id
    target = {"model": "models/1", "volume": f"volumes/{volume_id}"}.get(
        gone, f"volumes/{bundle_id}"
    )
    deletion: list[Answer] = []
    late = interrupted(plane, lambda: deletion.append(plane("DELETE", f"/v1/{target}")))

    answer = late("POST", path, body)

    assert deletion[0].status == 204
    if (use, gone) == ("stream", "volume"):
        assert answer.status == 201  # a stream needs no volume but the one of its hooks
        return
    assert (answer.status, answer.body["code"]) == (404, "not_found")
    for kind in (Stream, Job, Trigger):
        assert not plane.ports.catalog.query(kind, "a").items


@pytest.mark.parametrize("use", ["stream", "batch", "trigger"])
def test_what_is_put_to_use_meanwhile_is_not_deleted(plane: Plane, use: str) -> None:
    imported(plane)
    volume_id = filled_volume(plane)
    path, body = {
        "stream": ("/v1/streams", {"model_id": 1}),
        "batch": ("/v1/batches", {"model_id": 1, "volume_id": volume_id}),
        "trigger": (f"/v1/volumes/{volume_id}/triggers", {"model_id": 1}),
    }[use]
    late = interrupted(plane, lambda: plane.made(path, body))

    assert late("DELETE", "/v1/models/1").status == 409

    assert plane.ports.catalog.get(Model, "a", 1) is not None


def test_a_trigger_turned_off_meanwhile_makes_no_job(plane: Plane) -> None:
    imported(plane)
    volume_id = filled_volume(plane, ["1.png"])
    plane.made(f"/v1/volumes/{volume_id}/triggers", {"model_id": 1})
    late = interrupted(plane, lambda: plane("DELETE", f"/v1/volumes/{volume_id}/triggers"))
    volume = plane.ports.catalog.get(Volume, "a", volume_id)
    assert volume is not None
    body = (
        '{"detail-type": "Object Created", "detail": {"object": {"key": "'
        + volume.prefix
        + '1.png"}}}'
    )

    late.handler("drop")({"Records": [{"messageId": "1", "body": body}]}, None)

    assert not plane.ports.catalog.query(Job, "a").items


def test_a_user_who_is_deleted_meanwhile_gets_no_key(plane: Plane) -> None:
    plane.made("/v1/users", {"name": "uma"})
    late = interrupted(plane, lambda: plane("DELETE", "/v1/users/uma"))

    assert late("POST", "/v1/keys", {"user": "uma"}).status == 404
