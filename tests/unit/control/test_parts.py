from __future__ import annotations

from typing import Any

from hookline.core.rows import decoded
from tests.unit.batch.world import TENANT, World
from tests.unit.control.events import OTHER, Plane

WHO = {"tenant": TENANT, "user": "ada", "role": "admin"}
PATH = "/v1/batches/21/parts"
FILES = {f"{n:03}": b"bad" if n == 20 else b"x" for n in range(40)}


def pages(plane: Plane, limit: int) -> list[list[dict[str, Any]]]:
    found, token = [], ""
    while True:
        page = plane.shown(f"{PATH}?limit={limit}&page_token={token}", who=WHO)
        found.append(page["items"])
        token = page["next_page_token"]
        if not token:
            return found


def test_a_job_that_was_just_received_has_no_parts(plane: Plane, world: World) -> None:
    world.submit(FILES)

    assert pages(plane, 100) == [[]]


def test_a_job_that_runs_has_the_parts_that_are_done(plane: Plane, world: World) -> None:
    world.submit(FILES)
    world.plan()
    world.work_once()

    [[part]] = pages(plane, 100)

    done = next(shard for shard in world.shards() if shard.is_done)
    assert (part["index"], part["first"]) == (done.index, done.first)
    assert part["succeeded"] + part["failed"] == done.count
    assert done.part_key in part["request"]["url"]


def test_the_parts_of_a_job_are_its_rows_in_order_page_by_page(plane: Plane, world: World) -> None:
    world.submit(FILES)
    world.settle()

    found = pages(plane, 1)

    assert [len(page) for page in found] == [1, 1, 1]
    parts = [part for page in found for part in page]
    assert [(part["first"], part["failed"]) for part in parts] == [(0, 0), (16, 1), (32, 0)]
    names = []
    for shard in world.shards():
        with world.ports.blobs.open(shard.part_key) as file:
            names += [row.name for row in decoded(file)]
    assert names == sorted(FILES)


def test_parts_of_a_job_of_another_tenant_are_not_found(plane: Plane, world: World) -> None:
    world.submit(FILES)

    assert plane("GET", PATH, who=OTHER).status == 404
