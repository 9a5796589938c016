from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, BinaryIO

import pytest

from hookline.batch.verify import Place, begin, check, verify
from hookline.core.errors import Unavailable
from hookline.core.ports import Blobs
from tests.unit.batch.world import World

FILES = {f"{n:03}": b"bad" if n == 20 else b"x" for n in range(40)}


@pytest.fixture
def ended(world: World) -> World:
    world.submit(FILES)
    world.settle()
    return world


def test_an_exact_job_has_no_problems(ended: World) -> None:
    report = verify(ended.ports, ended.job())

    assert report.is_exact
    assert (report.total, report.succeeded, report.failed, report.pending) == (40, 39, 1, 0)


def test_a_running_job_is_checked_as_far_as_it_has_come(world: World) -> None:
    world.submit(FILES)
    world.plan()
    worker = world.worker()
    worker.step()
    worker.close()

    report = verify(world.ports, world.job())

    assert (report.problems, report.succeeded, report.pending) == ((), 16, 24)


def published(world: World) -> bytes:
    with world.ports.blobs.open(world.job().results_key) as file:
        return file.read()


def test_a_shortened_csv_is_found(ended: World) -> None:
    data = published(ended)
    ended.ports.blobs.put(ended.job().results_key, data[:-10])

    assert verify(ended.ports, ended.job()).problems == (
        "The CSV does not hold the rows of shard 2.",
        f"The CSV has {len(data) - 10} bytes, the job declares {len(data)}.",
        "The CSV is not the one that was published: its SHA-256 differs.",
    )


def test_two_rows_that_have_changed_places_are_found(ended: World) -> None:
    lines = published(ended).splitlines(keepends=True)
    lines[17:19] = reversed(lines[17:19])
    ended.ports.blobs.put(ended.job().results_key, b"".join(lines))

    assert verify(ended.ports, ended.job()).problems == (
        "The CSV does not hold the rows of shard 1.",
        "The CSV is not the one that was published: its SHA-256 differs.",
    )


def test_rows_after_the_last_one_are_found(ended: World) -> None:
    data = published(ended)
    ended.ports.blobs.put(ended.job().results_key, data + b"more,1,\r\n")

    assert verify(ended.ports, ended.job()).problems[0] == (
        f"The CSV has {len(data) + 9} bytes, the job declares {len(data)}."
    )


def test_a_check_goes_on_where_it_was_left(ended: World) -> None:
    data = published(ended)
    ended.ports.blobs.put(ended.job().results_key, data.replace(b"017,X", b"017,Y"))
    place: Place | None = begin(ended.job())
    found = []
    while place is not None:
        report = check(ended.ports, ended.job(), place, lambda: False)
        found.append((report.total, report.succeeded, report.problems))
        place = report.next

    assert found == [
        (16, 16, ()),
        (32, 31, ("The CSV does not hold the rows of shard 1.",)),
        (40, 39, ()),
        (40, 39, ()),
    ]


def test_a_lost_csv_is_found(ended: World) -> None:
    ended.ports.blobs.delete(ended.job().results_key)

    [problem] = verify(ended.ports, ended.job()).problems
    assert problem.startswith("The results cannot be checked")


def test_a_changed_manifest_is_found(ended: World) -> None:
    shard = ended.shards()[1]
    ended.ports.blobs.put(shard.manifest_key, b'{"i":16,"name":"other","size":1,"etag":""}\n')

    problems = verify(ended.ports, ended.job()).problems

    assert "Shard 1 does not have the files it should." in problems
    assert "The rows of shard 1 are not those of its files in order." in problems


def test_a_lost_manifest_or_part_is_found(ended: World) -> None:
    ended.ports.blobs.delete(ended.shards()[0].manifest_key)
    ended.ports.blobs.delete(ended.shards()[2].part_key)

    problems = verify(ended.ports, ended.job()).problems

    assert [text[:22] for text in problems[:2]] == [
        "Shard 0 cannot be read",
        "Shard 2 cannot be read",
    ]


def test_wrong_counts_are_found(ended: World) -> None:
    shard = ended.shards()[0]
    ended.ports.catalog.put(shard.changed(succeeded=15, failed=1))

    assert "Shard 0 miscounts its rows." in verify(ended.ports, ended.job()).problems


class Cut:
    """Blobs of which one breaks off while it is read."""

    def __init__(self, blobs: Blobs, key: str) -> None:
        self._blobs, self._key = blobs, key

    def __getattr__(self, name: str) -> Any:
        return getattr(self._blobs, name)

    @contextmanager
    def open(self, key: str) -> Iterator[Any]:
        with self._blobs.open(key) as file:
            yield self._broken(file) if key == self._key else file

    def _broken(self, file: BinaryIO) -> Iterator[bytes]:
        yield next(file)
        raise Unavailable("The storage is busy.")


def test_a_part_that_cannot_be_read_now_is_no_finding(ended: World) -> None:
    """The caller tries again; what was said of the job would be false."""
    blobs: Any = Cut(ended.ports.blobs, ended.shards()[1].part_key)

    with pytest.raises(Unavailable):
        verify(replace(ended.ports, blobs=blobs), ended.job())
