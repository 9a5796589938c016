"""Files of records: a row each, whatever their ends, quotes and sizes."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hookline.batch import manifest, split
from hookline.batch.entries import Source
from hookline.batch.parquet import Tables
from hookline.batch.reading import _load_all, _runs
from hookline.core.records import Shard, Volume
from hookline.runtime.items import Item, Outcome
from tests.invariants import check_job, csv_rows
from tests.unit.batch.world import TENANT, World, shout


def spans(data: bytes, *, is_quoted: bool) -> list[bytes]:
    found = split._spans(io.BytesIO(data), 0, is_quoted=is_quoted)
    return [data[begin : begin + size_bytes] for begin, size_bytes in found]


@pytest.mark.parametrize(
    ("data", "records"),
    [
        (b"", []),
        (b"a", [b"a"]),
        (b"a\n", [b"a"]),
        (b"a\r\n\r\n \nb", [b"a", b"b"]),
        (b"\xef\xbb\xbfa\nb\n", [b"a", b"b"]),
        (b"\n\na", [b"a"]),
        (b" a \n", [b" a "]),
        (b"a" * 200_000 + b"\nb", [b"a" * 200_000, b"b"]),
        (b'"a\nb"\n', [b'"a', b'b"']),
    ],
)
def test_lines_are_records(data: bytes, records: list[bytes]) -> None:
    assert spans(data, is_quoted=False) == records


@pytest.mark.parametrize(
    ("data", "records"),
    [
        (b'"a\nb",1\nc,2\n', [b'"a\nb",1', b"c,2"]),
        (b'"a ""x""\r\n\r\n b",1\r\nc', [b'"a ""x""\r\n\r\n b",1', b"c"]),
        (b'"never\nclosed', [b'"never\nclosed']),
    ],
)
def test_a_quoted_cell_may_have_line_breaks(data: bytes, records: list[bytes]) -> None:
    assert spans(data, is_quoted=True) == records


CELLS = st.text(st.sampled_from('ab,"\n\r ='), min_size=1, max_size=8)


@given(
    st.lists(st.lists(CELLS, min_size=1, max_size=3), max_size=20), st.sampled_from(["\n", "\r\n"])
)
def test_csv_records_are_those_that_the_csv_module_reads(rows: list[list[str]], end: str) -> None:
    rows = [["x", *row] for row in rows]
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=end, quoting=csv.QUOTE_ALL).writerows(rows)

    found = spans(text.getvalue().encode(), is_quoted=True)

    read = [next(csv.reader(io.StringIO(record.decode(), newline=""))) for record in found]
    assert read == rows


FILES = {
    "a.csv": b"name,n\r\n" + b"".join(b'"x\n%d",%d\r\n' % (n, n) for n in range(30)),
    "b.jsonl": b"".join(b'{"n": %d}\n' % n for n in range(50)),
    "c.txt": b"whole\nfile\n",
}
NAMES = [
    *(f"a.csv#{n}" for n in range(1, 31)),
    *(f"b.jsonl#{n}" for n in range(1, 51)),
    "c.txt",
]


def seen_by(world: World) -> list[Item]:
    items: list[Item] = []

    def answer(item: Item) -> Outcome:
        items.append(item)
        return shout(item)

    world.engine.answer = answer
    return items


def test_every_record_is_a_row_and_other_files_are_one(world: World) -> None:
    items = seen_by(world)
    world.submit(FILES, split="lines", has_header=True, joins_input=True, include=("timing",))

    job = world.settle()

    assert (job.status, job.total) == ("Completed", 81)
    check_job(world.ports, job)
    rows = csv_rows(world.ports, job)
    assert [row[0] for row in rows] == NAMES
    assert (rows[0][1], rows[0][3]) == ('"X\n0",0', '"x\n0",0')
    assert (rows[30][1], rows[30][3], rows[80][3]) == ('{"N": 0}', '{"n": 0}', "")
    kinds = {item.name.partition("#")[0]: item.mime_type for item in items}
    assert kinds == {"a.csv": "text/csv", "b.jsonl": "application/json", "c.txt": "text/plain"}


def test_results_may_be_json_lines(world: World) -> None:
    world.submit(FILES, split="lines", has_header=True, output_format="jsonl")

    job = world.settle()

    check_job(world.ports, job)
    assert job.results_key.endswith("/results.jsonl")
    with world.ports.blobs.open(job.results_key) as file:
        rows = [json.loads(line) for line in file]
    assert [row["path"] for row in rows] == NAMES
    assert rows[30] == {"path": "b.jsonl#1", "output": {"N": 0}}


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=10
)
@given(st.integers(0, 12))
def test_a_planner_that_goes_on_after_any_shard_lists_the_same(world: World, known: int) -> None:
    world.job_id += 1
    fields: dict[str, Any] = {"split": "lines", "has_header": True}
    job = world.submit(FILES, **fields) if world.job_id == 22 else world._submitted(**fields)
    volume = world.ports.catalog.get(Volume, TENANT, job.volume_id)
    assert volume is not None
    before = manifest.freeze(world.ports, job, volume)
    for _ in range(known):
        next(before, None)

    frozen = list(manifest.freeze(world.ports, job, volume))

    assert names_of(world, frozen) == NAMES


def names_of(world: World, frozen: list[Shard]) -> list[str]:
    return [e.name for shard in frozen for e in manifest.entries_of(world.ports.blobs, shard)]


def test_the_rest_of_a_file_that_changed_while_it_was_listed_is_told(world: World) -> None:
    job = world.submit(FILES, split="lines", has_header=True)
    volume = world.ports.catalog.get(Volume, TENANT, job.volume_id)
    assert volume is not None
    next(manifest.freeze(world.ports, job, volume))
    world.ports.blobs.put(f"{TENANT}/volumes/56/a.csv", b"other\n")

    job = world.settle()

    check_job(world.ports, job)
    rows = csv_rows(world.ports, job)
    assert [row[0] for row in rows] == [*NAMES[:17], *NAMES[30:]]
    assert all("input_changed" in row[2] for row in rows[:17])
    assert job.failed == 17


def test_records_that_follow_each_other_are_read_at_once(world: World) -> None:
    opened: list[str] = []
    blobs = world.ports.blobs
    source = Source(blobs, f"{TENANT}/volumes/56/")
    world.submit(FILES, split="lines")
    world.plan()
    entries = manifest.entries_of(blobs, world.shards()[0])

    class Counted:
        def __getattr__(self, name: str) -> Any:
            opened.append(name)
            return getattr(blobs, name)

    counted: Any = Counted()
    loaded = [
        body
        for run in _runs(entries)
        for _, body in _load_all(source._replace(blobs=counted), run, Tables())
    ]

    assert len(loaded) == 16
    assert loaded[1] == b'"x\n0",0'
    assert opened == ["open", "stat"]
