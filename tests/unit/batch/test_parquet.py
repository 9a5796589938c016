"""Parquet: each row of a file is a record, and results may be a Parquet file."""

from __future__ import annotations

import datetime as dt
import io
import json
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet as pq

from hookline.batch import manifest, parquet, shards
from hookline.batch.parquet import Place, Tables
from hookline.batch.verify import verify
from hookline.core.records import Job, Volume
from hookline.core.rows import Row, RowError
from hookline.runtime.items import Answer, Item, Outcome
from tests.invariants import check_job, csv_rows
from tests.unit.batch.world import TENANT, World

RESULTS = ("path", "output", "error", "ms", "input")


def table(rows: list[dict[str, Any]], group_rows: int = 7) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), file, row_group_size=group_rows)
    return file.getvalue()


def numbered(count: int) -> list[dict[str, Any]]:
    return [{"n": n, "word": f"w{n}"} for n in range(count)]


def read_again(item: Item) -> Outcome:
    return Answer(json.dumps(json.loads(item.body)["n"]).encode(), "application/json")


def test_every_row_is_a_record_in_order(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "FIRST_SHARD_FILES", 5)
    world.engine.answer = read_again
    world.submit({"a.parquet": table(numbered(100))}, split="lines", joins_input=True)

    job = world.settle()

    check_job(world.ports, job)
    assert job.shards > 3
    assert csv_rows(world.ports, job) == [
        [f"a.parquet#{n + 1}", f"{n}", f'{{"n":{n},"word":"w{n}"}}'] for n in range(100)
    ]


def test_a_planner_that_is_repeated_goes_on_behind_the_last_row(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest, "FIRST_SHARD_FILES", 5)
    job = world.submit({"a.parquet": table(numbered(12)), "b.txt": b"x"}, split="lines")
    volume = world.ports.catalog.get(Volume, TENANT, 56)
    assert volume is not None
    first = next(manifest.freeze(world.ports, job, volume))

    every = [first, *list(manifest.freeze(world.ports, job, volume))[1:]]

    names = [each.name for one in every for each in manifest.entries_of(world.ports.blobs, one)]
    assert names == [*(f"a.parquet#{n}" for n in range(1, 13)), "b.txt"]


@pytest.mark.parametrize("starts", [(0, 5, 10), (13, 20), (0, 19, 3), (6, 7, 8)])
def test_rows_are_found_from_any_place(starts: tuple[int, ...]) -> None:
    data, tables = table(numbered(25)), Tables()

    for start in starts:
        found = tables.records(lambda _: io.BytesIO(data), Place("a", "a", "1", start, 5))
        assert [json.loads(row)["n"] for row in found] == list(range(start, start + 5))


def test_who_reads_on_opens_the_file_once() -> None:
    data, tables, opened = table(numbered(25)), Tables(), []

    def open_file(key: str) -> io.BytesIO:
        opened.append(key)
        return io.BytesIO(data)

    for start in (0, 5, 20):
        tables.records(open_file, Place("a", "a", "1", start, 5))
    tables.records(open_file, Place("a", "a", "2", 21, 2))

    assert opened == ["a", "a"]


def test_values_that_json_has_not_are_texts() -> None:
    day = dt.date(2024, 2, 29)
    row = {"day": day, "price": Decimal("1.50"), "raw": b"\xff", "none": None, "nan": float("nan")}

    [found] = Tables().records(lambda _: io.BytesIO(table([row])), Place("a", "a", "1", 0, 1))

    assert json.loads(found) == {
        "day": "2024-02-29",
        "price": "1.50",
        "raw": "/w==",
        "none": None,
        "nan": None,
    }


@pytest.mark.parametrize("body", [b"", b"PAR1 but no Parquet PAR1", table(numbered(3))[:-9]])
def test_a_file_that_is_no_parquet_is_one_row_with_an_error(world: World, body: bytes) -> None:
    world.submit({"a.parquet": body, "b.txt": b"x"}, split="lines")

    job = world.settle()

    check_job(world.ports, job)
    [bad, good] = csv_rows(world.ports, job)
    assert (bad[0], good[:2]) == ("a.parquet#1", ["b.txt", "X"])
    assert bad[2].startswith("invalid_input: The file")


def test_a_row_group_that_is_damaged_is_told_by_the_name_of_its_file(world: World) -> None:
    body = bytearray(table(numbered(3)))
    body[4:40] = b"\xff" * 36  # the pages come first, the footer says that they are there
    world.submit({"a.parquet": bytes(body)}, split="lines")

    job = world.settle()

    assert (job.total, job.failed) == (3, 3)
    for row in csv_rows(world.ports, job):
        assert row[2].startswith("invalid_input: The file a.parquet is no Parquet"), row


def test_a_file_that_changes_costs_its_rows_only(world: World) -> None:
    world.submit({"a.parquet": table(numbered(9)), "b.txt": b"x"}, split="lines")
    world.plan()
    world.ports.blobs.put(f"{TENANT}/volumes/56/a.parquet", table(numbered(8)))

    job = world.settle()

    check_job(world.ports, job)
    errors = [row[2].partition(":")[0] for row in csv_rows(world.ports, job)]
    assert errors == ["input_changed"] * 9 + [""]


def published(world: World, job: Job) -> list[dict[str, Any]]:
    with world.ports.blobs.open(job.results_key) as file:
        rows: list[dict[str, Any]] = pq.read_table(io.BytesIO(file.read())).to_pylist()
    return rows


def test_results_may_be_parquet(world: World) -> None:
    files = {"a.txt": b"x", "b.txt": b"bad", "c.txt": b"=1+1"}
    world.submit(files, output_format="parquet", include=("timing",))

    job = world.settle()

    assert job.results_key.endswith("/results.parquet")
    check_job(world.ports, job)
    rows = published(world, job)
    assert [list(row) for row in rows] == [["path", "output", "error", "ms"]] * 3
    assert [row["output"] for row in rows] == ["X", None, "=1+1"]
    assert rows[1]["error"].startswith("hook_failed: ")


def test_a_volume_without_files_makes_a_table_without_rows(world: World) -> None:
    world.submit({}, output_format="parquet")

    job = world.settle()

    assert published(world, job) == []
    check_job(world.ports, job)


def test_verify_sees_that_a_cell_of_a_table_differs(world: World) -> None:
    world.submit({f"{n}.txt": b"x" for n in range(9)}, output_format="parquet")
    job = world.settle()
    rows = published(world, job)
    rows[4]["output"] = "Y"
    world.ports.blobs.put(job.results_key, table(rows))

    problems = verify(world.ports, job).problems

    assert "The results do not hold the rows of shard 0." in problems
    assert verify(world.ports, job).succeeded == 9


def test_verify_sees_that_a_row_of_a_table_is_missing(world: World) -> None:
    world.submit({f"{n}.txt": b"x" for n in range(9)}, output_format="parquet")
    job = world.settle()
    world.ports.blobs.put(job.results_key, table(published(world, job)[:-1]))

    assert "The parts make 9 rows of results, the job declares 8." in (
        verify(world.ports, job).problems
    )


def test_the_same_rows_make_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "GROUP_ROWS", 4)
    error = RowError("hook_failed", "why")
    rows = [Row(n, f"{n}", None if n % 3 else "x", error if n % 3 else None) for n in range(30)]

    [first, second] = [b"".join(parquet.written(iter(rows), RESULTS)) for _ in range(2)]

    assert first == second
    assert pq.ParquetFile(io.BytesIO(first)).num_row_groups == 8
    assert parquet.read_back(io.BytesIO(first), "r", 5, 9) == [
        parquet.cells(row, RESULTS) for row in rows[5:14]
    ]


def test_without_pyarrow_a_job_with_parquet_says_what_to_install(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hookline.core.extras.find_spec", lambda _: None)
    world.submit({"a.parquet": table(numbered(3))}, split="lines")

    job = world.settle()

    assert job.status == "Failed"
    assert job.failure is not None
    assert "Install hookline[parquet]" in job.failure.message
    assert list(shards.of_job(world.ports.catalog, job)) == []
