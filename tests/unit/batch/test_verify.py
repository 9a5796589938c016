from __future__ import annotations

import pytest

from hookline.batch.verify import verify
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


def test_a_shortened_csv_is_found(ended: World) -> None:
    key = ended.job().results_key
    with ended.ports.blobs.open(key) as file:
        data = file.read()
    ended.ports.blobs.put(key, data[:-10])

    assert verify(ended.ports, ended.job()).problems == (
        "The CSV is not what the parts make.",
        "The CSV is not the one that was published: its size or SHA-256 differ.",
    )


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
