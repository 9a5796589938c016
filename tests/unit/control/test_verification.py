from __future__ import annotations

import pytest

from hookline.batch import verify
from hookline.core.records import Job, Serving
from hookline.core.topology import FINISH
from tests.unit.batch.world import TENANT, World
from tests.unit.control.events import OTHER, Plane

WHO = {"tenant": TENANT, "user": "ada", "role": "admin"}
PATH = "/v1/batches/21/verify"


@pytest.fixture
def ended(world: World) -> World:
    world.submit({f"{n:03}": b"bad" if n == 20 else b"x" for n in range(40)})
    world.settle()
    return world


def test_an_exact_job_is_found_exact(plane: Plane, ended: World) -> None:
    assert plane.shown(PATH, who=WHO) == {
        "id": ended.job().id,
        "status": "CompletedWithErrors",
        "total": 40,
        "succeeded": 39,
        "failed": 1,
        "pending": 0,
        "problems": [],
        "next_page_token": "",
    }


def test_a_long_check_goes_on_with_its_token(
    plane: Plane, ended: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "CALL_S", 0.0)
    ended.ports.blobs.delete(ended.shards()[1].part_key)
    problems, totals, token = [], [], ""
    while True:
        page = plane.shown(f"{PATH}?page_token={token}", who=WHO)
        problems += page["problems"]
        totals.append(page["total"])
        token = page["next_page_token"]
        if not token:
            break

    assert totals == [16, 32, 40, 40]
    assert [text[:22] for text in problems] == ["Shard 1 cannot be read"]


def test_a_token_of_another_list_is_refused(plane: Plane, ended: World) -> None:
    assert ended.job().has_ended

    answer = plane("GET", f"{PATH}?page_token=AAAA", who=WHO)

    assert (answer.status, answer.body["code"]) == (400, "bad_request")


def test_a_job_of_another_tenant_is_not_found(plane: Plane, ended: World) -> None:
    assert ended.job().has_ended

    assert plane("GET", PATH, who=OTHER).status == 404


def test_a_job_that_has_just_been_received_has_nothing_to_be_wrong(plane: Plane) -> None:
    job = Job(
        tenant="a",
        id=1,
        model_id=1,
        volume_id=1,
        serving=Serving(),
        created_at=0.0,
        updated_at=0.0,
    )
    plane.ports.catalog.put(job)

    page = plane.shown("/v1/batches/1/verify")

    assert (page["total"], page["pending"], page["problems"]) == (0, 0, [])
    assert plane.take(FINISH) == []
