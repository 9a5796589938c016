"""What belongs to one tenant does not exist for another, whatever the operation."""

from __future__ import annotations

from typing import Any

import pytest

from hookline.core.topology import FUNCTIONS, PUBLIC_ROUTES, Route
from tests.unit.control.content import deployed, filled_volume, imported
from tests.unit.control.events import OTHER, Plane

WITH_IDS = [route for f in FUNCTIONS for route in f.routes if "{" in route.path]
LISTS = [
    route
    for f in FUNCTIONS
    for route in f.routes
    if route.method == "GET" and "{" not in route.path and route not in PUBLIC_ROUTES
]

BODIES: dict[str, Any] = {
    "POST /v1/volumes/{volume_id}/uploads": {"files": [{"name": "a", "size_bytes": 1}]},
    "POST /v1/volumes/{volume_id}/downloads": {"names": ["a"]},
    "POST /v1/volumes/{volume_id}/triggers": {"model_id": 1},
    "POST /v1/batches/{job_id}/retry": {},
    "PATCH /v1/streams/{stream_id}": {"replicas": 1},
}


@pytest.fixture
def ids(plane: Plane) -> dict[str, str]:
    """One of everything, of tenant a."""
    model = imported(plane)
    stream = deployed(plane, model_id=model["id"])
    volume_id = filled_volume(plane)
    plane.made(f"/v1/volumes/{volume_id}/triggers", {"model_id": model["id"]})
    job = plane.made("/v1/batches", {"model_id": model["id"], "volume_id": volume_id})
    plane.made("/v1/users", {"name": "uma"})
    key = plane.made("/v1/keys", {})
    return {
        "{model_id}": str(model["id"]),
        "{stream_id}": str(stream["id"]),
        "{volume_id}": str(volume_id),
        "{job_id}": str(job["id"]),
        "{name}": "uma",
        "{key_id}": key["id"],
    }


def filled(route: Route, ids: dict[str, str]) -> str:
    path = route.path
    for name, value in ids.items():
        path = path.replace(name, value)
    assert "{" not in path, "a new kind of id: add one to the fixture"
    return path


@pytest.mark.parametrize("route", WITH_IDS, ids=lambda route: f"{route.method} {route.path}")
def test_an_id_of_another_tenant_is_not_found(
    plane: Plane, ids: dict[str, str], route: Route
) -> None:
    path = filled(route, ids)
    body = BODIES.get(f"{route.method} {route.path}")

    theirs = plane(route.method, path, body, who=OTHER)
    mine = plane(route.method, path, body)

    assert (theirs.status, theirs.body["code"]) == (404, "not_found")
    assert mine.status < 300 or mine.status == 409


@pytest.mark.parametrize("route", LISTS, ids=lambda route: route.path)
def test_lists_show_nothing_of_another_tenant(
    plane: Plane, ids: dict[str, str], route: Route
) -> None:
    shown = plane.shown(route.path, who=OTHER)

    assert ids
    text = str(shown)
    assert "uma" not in text
    assert "ada" not in text
    if route.path not in ("/v1/me", "/v1/users", "/v1/keys"):
        assert shown["items"] == []


def test_the_resources_of_another_tenant_cannot_be_put_to_use(
    plane: Plane, ids: dict[str, str]
) -> None:
    model_id, volume_id = int(ids["{model_id}"]), int(ids["{volume_id}"])
    volume = plane.made("/v1/volumes", {"name": "v"}, who=OTHER)

    for path, body in [
        ("/v1/streams", {"model_id": model_id}),
        ("/v1/batches", {"model_id": model_id, "volume_id": volume_id}),
        (f"/v1/volumes/{volume['id']}/triggers", {"model_id": model_id}),
    ]:
        answer = plane("POST", path, body, who=OTHER)
        assert (answer.status, answer.body["title"]) == (404, f"There is no model {model_id}.")


def test_an_upload_of_another_tenant_is_not_there(plane: Plane) -> None:
    model = imported(plane)
    body = {"sha256": model["sha256"], "size_bytes": model["size_bytes"]}

    answer = plane("POST", "/v1/models", {"name": "m", "sha256": model["sha256"]}, who=OTHER)

    assert answer.status == 404
    assert plane.made("/v1/uploads", body, who=OTHER)["request"] is not None


def test_numbers_are_counted_per_tenant(plane: Plane) -> None:
    plane.made("/v1/volumes", {"name": "v"})

    assert plane.made("/v1/volumes", {"name": "v"}, who=OTHER)["id"] == 1
