"""A retry makes the rows that failed, takes over the others, and is a job like any other."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from hookline.batch import manifest
from hookline.batch.batch_size import BatchSize
from hookline.batch.entries import Entry
from hookline.batch.journal import Journal
from hookline.batch.reading import Reader
from hookline.batch.rows import Rows
from hookline.batch.verify import verify
from hookline.core.ports import Ports
from hookline.core.records import Job, Shard
from hookline.core.rows import Row, decoded, encoded
from tests.invariants import check_job, csv_rows
from tests.unit.batch.world import TENANT, World

FILES = {f"{n:03}": b"bad" if n in (3, 20, 39) else b"x" for n in range(40)}


def replace(world: World, name: str, body: bytes) -> None:
    world.ports.blobs.put(f"{TENANT}/volumes/56/{name}", body)


def failed_once(world: World) -> Job:
    world.submit(FILES)
    job = world.settle()
    assert (job.status, job.failed) == ("CompletedWithErrors", 3)
    world.engine.seen.clear()
    return job


def rows_of(world: World) -> list[Row]:
    rows: list[Row] = []
    for shard in world.shards():
        with world.ports.blobs.open(shard.part_key) as file:
            rows += decoded(file)
    return rows


def test_only_the_rows_that_failed_are_made_again(world: World) -> None:
    failed_once(world)
    for name in ("003", "020", "039"):
        replace(world, name, b"good")
    world.retry()

    job = world.settle()

    assert world.engine.seen == ["003", "020", "039"]
    assert (job.status, job.total, job.succeeded, job.failed) == ("Completed", 40, 40, 0)
    check_job(world.ports, job, list(FILES))
    rows = csv_rows(world.ports, job)
    assert [row for row in rows if row[1] == "GOOD"] == [
        ["003", "GOOD"],
        ["020", "GOOD"],
        ["039", "GOOD"],
    ]


@pytest.mark.parametrize("saved", range(5))
def test_rows_that_an_attempt_saved_are_not_taken_over_again(ports: Ports, saved: int) -> None:
    """Whatever of them, up to the whole shard, whose part could not be stored."""
    entries = [Entry(index, f"{index}", 1, "") for index in range(6, 10)]
    made = [Row(index, f"{index}", "1", job_id=21) for index in range(6, 10)]
    shard = Shard(tenant=TENANT, job_id=22, index=2, first=6, count=4, attempt=2)
    journal = Journal.open(ports.blobs, shard)
    journal.rows.extend(made[:saved])
    watch: Any = SimpleNamespace(reason="", may_go_on=lambda: True)
    session: Any = SimpleNamespace(source=None, batch_size=BatchSize())

    Rows(session, Reader(), journal, watch).fill(entries, 2, lambda: made)

    assert list(journal.rows) == made


def test_every_row_says_which_job_made_it_even_after_two_retries(world: World) -> None:
    failed_once(world)
    replace(world, "020", b"good")
    world.retry()
    assert world.settle().failed == 2
    replace(world, "003", b"good")
    world.retry()

    job = world.settle()

    assert (job.retry_of, job.failed) == (22, 1)
    check_job(world.ports, job, list(FILES))
    made_by = {row.name: row.job_id for row in rows_of(world)}
    assert (made_by["000"], made_by["020"], made_by["003"], made_by["039"]) == (21, 22, 0, 0)


def test_a_retry_starts_no_engine_for_shards_without_failures(world: World) -> None:
    world.submit({f"{n:03}": b"bad" if n == 39 else b"x" for n in range(40)})
    world.settle()
    opened, runs = world.engine.opened, world.engine.runs
    world.retry()

    job = world.settle()

    assert (world.engine.opened - opened, world.engine.runs - runs) == (1, 1)
    check_job(world.ports, job)


def test_the_missing_rows_of_a_stopped_job_are_made(world: World) -> None:
    world.submit(FILES)
    world.plan()
    worker = world.worker()
    worker.step()
    worker.close()
    world.stop()
    assert world.settle().status == "Stopped"
    world.engine.seen.clear()
    world.retry()

    job = world.settle()

    assert sorted(world.engine.seen) == sorted({name for name in FILES if name > "015"} | {"003"})
    assert (job.status, job.total) == ("CompletedWithErrors", 40)
    check_job(world.ports, job, list(FILES))


def test_a_file_that_failed_and_is_gone_fails_again(world: World) -> None:
    failed_once(world)
    world.ports.blobs.delete(f"{TENANT}/volumes/56/020")
    world.retry()

    job = world.settle()

    assert csv_rows(world.ports, job)[20][2].startswith("input_changed")
    check_job(world.ports, job, list(FILES))


def test_a_retry_has_the_shards_of_its_job_whatever_the_files_have_become(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed_once(world)
    before = [(shard.index, shard.first, shard.count) for shard in world.shards()]
    replace(world, "003", b"x" * 1000)
    world.retry()
    monkeypatch.setattr(manifest, "FIRST_SHARD_FILES", 2)
    world.settle()

    assert [(shard.index, shard.first, shard.count) for shard in world.shards()] == before


def test_a_retry_that_changes_a_row_it_should_have_kept_is_found(world: World) -> None:
    failed_once(world)
    world.retry()
    world.settle()
    shard = world.shards()[0]
    rows = [row for row in rows_of(world) if row.index < shard.count]
    rows[5] = Row(index=5, name=rows[5].name, output="another", job_id=21)
    world.ports.blobs.put(shard.part_key, encoded(rows))

    problems = verify(world.ports, world.job()).problems
    assert "Row 5 is not the one of the job that was tried again." in problems
