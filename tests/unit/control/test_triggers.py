from __future__ import annotations

from hookline.core.triggers import Drop
from tests.unit.control.content import filled_volume, imported, variant
from tests.unit.control.events import Plane


def watched(plane: Plane) -> str:
    """The path of a volume of tenant a with a trigger."""
    imported(plane)
    path = f"/v1/volumes/{filled_volume(plane)}"
    plane.made(f"{path}/triggers", {"model_id": 1})
    return path


def test_a_trigger_says_how_it_predicts(plane: Plane) -> None:
    imported(plane)
    volume_id = filled_volume(plane)

    answer = plane(
        "POST",
        f"/v1/volumes/{volume_id}/triggers",
        {"model_id": 1, "formatter": "classification", "formatter_args": {"num_preds": 2}},
    )

    assert answer.status == 201
    assert answer.body == {
        "id": 1,
        "volume_id": volume_id,
        "model_id": 1,
        "settle_s": 0,
        "max_wait_s": 0,
        "max_files": 1000,
        "suffixes": [],
        "marker": "",
        "manifest": "",
        "notify": "",
        "is_on": True,
        "bundle": None,
        "custom_code": None,
        "formatter": "classification",
        "formatter_args": {"num_preds": 2},
        "decoder": "pillow",
        "padding": None,
        "device": "cpu",
        "gpus": 0,
        "created_at": "2023-11-14T22:13:20Z",
    }


def test_the_same_trigger_again_is_the_same_one(plane: Plane) -> None:
    path = watched(plane)

    again = plane.made(f"{path}/triggers", {"model_id": 1})
    other = plane.made(f"{path}/triggers", {"model_id": 1, "formatter": "classification"})

    assert (again["id"], other["id"]) == (1, 2)


def test_triggers_are_turned_off_and_still_listed(plane: Plane) -> None:
    path = watched(plane)

    turned_off = plane("DELETE", f"{path}/triggers")

    assert turned_off.status == 200
    assert [(item["id"], item["is_on"]) for item in turned_off.body["items"]] == [(1, False)]
    assert plane.shown(f"{path}/triggers")["items"] == turned_off.body["items"]
    assert plane("DELETE", f"{path}/triggers").body == {"items": []}


def test_a_trigger_that_was_turned_off_can_be_made_again(plane: Plane) -> None:
    path = watched(plane)
    plane("DELETE", f"{path}/triggers")

    assert plane.made(f"{path}/triggers", {"model_id": 1})["id"] == 2


def test_triggers_of_other_volumes_are_not_listed(plane: Plane) -> None:
    path = watched(plane)
    other_id = filled_volume(plane)

    assert plane.shown(f"/v1/volumes/{other_id}/triggers")["items"] == []
    assert len(plane.shown(f"{path}/triggers")["items"]) == 1


def test_a_trigger_needs_its_volume_and_its_model(plane: Plane) -> None:
    volume_id = filled_volume(plane)

    no_model = plane("POST", f"/v1/volumes/{volume_id}/triggers", {"model_id": 9})
    no_volume = plane("POST", "/v1/volumes/9/triggers", {"model_id": 9})

    assert (no_model.status, no_model.body["title"]) == (404, "There is no model 9.")
    assert (no_volume.status, no_volume.body["title"]) == (404, "There is no volume 9.")
    assert plane("GET", "/v1/volumes/9/triggers").status == 404
    assert plane("DELETE", "/v1/volumes/9/triggers").status == 404
    assert plane("GET", "/v1/volumes/9/drops").status == 404


def test_a_formatter_that_cannot_be_is_refused(plane: Plane) -> None:
    imported(plane)
    volume_id = filled_volume(plane)
    body = {"model_id": 1, "formatter": "classification", "formatter_args": {"label": True}}

    assert plane("POST", f"/v1/volumes/{volume_id}/triggers", body).status == 422


def test_the_history_is_listed_over_triggers_and_pages(plane: Plane) -> None:
    path = watched(plane)
    plane.made(f"{path}/triggers", {"model_id": 1, "formatter": "classification"})
    names = ["0.png", "1.png", "~.png", "é.png", "é" * 500]
    for trigger_id in (1, 2, 3):  # 3 belongs to no trigger of this volume
        for name in names:
            plane.ports.catalog.put(
                Drop(
                    tenant="a",
                    trigger_id=trigger_id,
                    name=name,
                    etag="e",
                    size_bytes=3,
                    job_id=4,
                    reason="",
                    seen_at=1.0,
                )
            )

    for limit in (1, 2, 5, 7, 10, 100):
        shown = walk(plane, f"{path}/drops", limit)
        assert [(item["trigger_id"], item["name"]) for item in shown] == [
            (trigger_id, name) for trigger_id in (1, 2) for name in names
        ]
    assert shown[0]["seen_at"] == "1970-01-01T00:00:01Z"


def walk(plane: Plane, path: str, limit: int) -> list[dict[str, object]]:
    """Every item of a list, `limit` at a time."""
    items: list[dict[str, object]] = []
    token = ""
    for _ in range(100):
        page = plane.shown(f"{path}?limit={limit}&page_token={token}")
        assert len(page["items"]) <= limit
        items += page["items"]
        token = page["next_page_token"]
        if not token:
            return items
    raise AssertionError("the list does not end")


def test_a_variant_below_its_bound_watches_a_volume_by_force_alone(plane: Plane) -> None:
    path = f"/v1/volumes/{filled_volume(plane)}/triggers"
    body = {"model_id": variant(plane, 0.5)}

    refused = plane("POST", path, body)

    assert refused.status == 409
    assert "in int4 answers like its original on 50 % of 100" in refused.body["title"]
    assert plane.shown(path)["items"] == []
    assert plane("POST", path, body | {"force": True}).status == 201
