from __future__ import annotations

import base64

import pytest

from hookline.control.paging import SigningSecret
from hookline.core.records import PLATFORM
from tests.unit.control.events import OTHER, USER, Plane


def make_volumes(plane: Plane, count: int) -> None:
    for number in range(count):
        plane.made("/v1/volumes", {"name": f"v{number}"})


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
def test_every_item_is_on_exactly_one_page(plane: Plane, limit: int) -> None:
    make_volumes(plane, 7)

    ids: list[int] = []
    token, pages = "", 0
    while pages == 0 or token:
        page = plane.shown(f"/v1/volumes?limit={limit}&page_token={token}")
        ids += [item["id"] for item in page["items"]]
        token, pages = page["next_page_token"], pages + 1

    assert ids == list(range(1, 8))
    assert pages == -(-7 // limit)


def first_token(plane: Plane) -> str:
    make_volumes(plane, 3)
    token: str = plane.shown("/v1/volumes?limit=1")["next_page_token"]
    return token


def test_a_changed_token_is_refused_wherever_it_was_changed(plane: Plane) -> None:
    raw = bytearray(base64.urlsafe_b64decode(first_token(plane)))

    for index in range(len(raw)):
        changed = bytes(raw[:index]) + bytes([raw[index] ^ 1]) + bytes(raw[index + 1 :])
        token = base64.urlsafe_b64encode(changed).decode()
        answer = plane("GET", f"/v1/volumes?page_token={token}")
        assert (answer.status, answer.body["code"]) == (400, "bad_request")


@pytest.mark.parametrize("token", ["x", "é", "AAAA", "====", "%00", "A" * 500])
def test_nonsense_is_refused(plane: Plane, token: str) -> None:
    first_token(plane)

    assert plane("GET", f"/v1/volumes?page_token={token}").status == 400


def test_a_token_is_good_for_its_own_list_only(plane: Plane) -> None:
    token = first_token(plane)

    assert plane("GET", f"/v1/models?page_token={token}").status == 400
    assert plane("GET", f"/v1/volumes/1/files?page_token={token}").status == 400


def test_a_token_is_good_for_its_own_tenant_only(plane: Plane) -> None:
    token = first_token(plane)

    assert plane("GET", f"/v1/volumes?page_token={token}", who=OTHER).status == 400
    assert plane("GET", f"/v1/volumes?page_token={token}", who=USER).status == 200


def test_a_token_outlives_the_process_that_made_it(plane: Plane) -> None:
    token = first_token(plane)

    page = Plane(plane.ports).shown(f"/v1/volumes?limit=1&page_token={token}")

    assert [item["id"] for item in page["items"]] == [2]
    assert plane.ports.catalog.get(SigningSecret, PLATFORM, "page-tokens") is not None


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "x", "1.5"])
def test_a_limit_out_of_range_is_refused(plane: Plane, limit: str) -> None:
    answer = plane("GET", f"/v1/volumes?limit={limit}")

    assert answer.status == 422
    assert "the parameter limit" in answer.body["detail"]
