from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from hookline.batch import finish
from hookline.core.errors import Unavailable
from hookline.core.ports import BlobWriter
from hookline.core.topology import FINISH, SHARDS
from tests.invariants import check_job, check_moves, csv_rows
from tests.unit.batch.world import TENANT, World

FILES = {f"{n:03}": b"x" for n in range(40)}


@pytest.fixture
def done(world: World) -> World:
    """All parts are written; nobody has finished the job."""
    world.submit(FILES)
    world.plan()
    world.work()
    return world


def test_a_job_is_not_finished_while_a_shard_is_open(world: World) -> None:
    world.submit(FILES)
    world.plan()
    worker = world.worker()
    worker.step()
    worker.step()
    worker.close()

    finish.finish(world.ports, TENANT, 21)

    assert world.job().status == "Running"
    assert world.ports.blobs.stat(f"{world.job().prefix}/results.csv") is None
    assert world.ports.queue.depth(FINISH) == 0


def test_finishing_twice_publishes_once(done: World) -> None:
    finish.finish(done.ports, TENANT, 21)
    first = done.job()
    finish.finish(done.ports, TENANT, 21)

    assert done.job() == first
    check_job(done.ports, first, list(FILES))


def test_two_finishers_at_once_publish_the_same_bytes(done: World) -> None:
    other = replace(done.ports)

    class Overtaken:
        """Between its CSV and its flip another finisher does both."""

        def __init__(self) -> None:
            self.put, self.open, self.stat = other.blobs.put, other.blobs.open, other.blobs.stat
            self.list, self.delete, self.uri = other.blobs.list, other.blobs.delete, other.blobs.uri
            self.presign = other.blobs.presign

        @contextmanager
        def writer(self, key: str, *, if_absent: bool = False) -> Iterator[BlobWriter]:
            assert not if_absent
            with other.blobs.writer(key) as blob:
                yield blob
            finish.finish(other, TENANT, 21)

    finish.finish(replace(done.ports, blobs=Overtaken()), TENANT, 21)

    assert done.job().status == "Completed"
    check_job(done.ports, done.job(), list(FILES))
    check_moves(done.recorder.jobs)


def test_a_missing_part_ends_the_job_instead_of_a_short_csv(done: World) -> None:
    done.ports.blobs.delete(done.shards()[1].part_key)

    finish.finish(done.ports, TENANT, 21)

    job = done.job()
    assert (job.status, job.results_key) == ("Failed", "")
    assert job.failure is not None
    assert job.failure.message.startswith("The part 1 of job 21 is damaged")
    assert done.ports.blobs.stat(f"{job.prefix}/results.csv") is None


@pytest.mark.parametrize("damage", ["short", "swapped", "not json"])
def test_a_damaged_part_ends_the_job(done: World, damage: str) -> None:
    key = done.shards()[1].part_key
    with done.ports.blobs.open(key) as file:
        lines = file.read().splitlines(keepends=True)
    damaged = {
        "short": lines[:-1],
        "swapped": [lines[1], lines[0], *lines[2:]],
        "not json": [b"{\n"],
    }
    done.ports.blobs.put(key, b"".join(damaged[damage]))

    finish.finish(done.ports, TENANT, 21)

    assert done.job().status == "Failed"


def test_a_disk_that_is_full_does_not_end_the_job(done: World) -> None:
    class Full:
        def __init__(self) -> None:
            blobs = done.ports.blobs
            self.put, self.open, self.stat = blobs.put, blobs.open, blobs.stat
            self.list, self.delete, self.uri = blobs.list, blobs.delete, blobs.uri
            self.presign = blobs.presign

        @contextmanager
        def writer(self, key: str, *, if_absent: bool = False) -> Iterator[BlobWriter]:
            assert not if_absent
            raise Unavailable(f"The file {key} cannot be stored.", why="The disk is full.")
            yield  # type: ignore[unreachable]  # a context manager has one

    handler = finish.build(replace(done.ports, blobs=Full()))
    for _ in range(7):
        for lease in done.ports.queue.receive(FINISH, 10, lease_s=60):
            done.deliver(lease, handler)
        done.clock.advance(61)
    assert done.job().status == "Running"

    assert done.settle().status == "Completed"
    check_job(done.ports, done.job(), list(FILES))


def test_a_stop_that_comes_last_labels_the_whole_csv_stopped(done: World) -> None:
    done.stop()

    job = done.settle()

    assert (job.status, job.succeeded) == ("Stopped", 40)
    check_job(done.ports, job, list(FILES))


def test_a_job_stopped_before_any_work_has_an_empty_csv(world: World) -> None:
    world.submit(FILES)
    world.plan()
    world.stop()

    world.finish()

    job = world.job()
    assert (job.status, job.total, job.results_size_bytes) == ("Stopped", 40, 0)
    check_job(world.ports, job, list(FILES))
    assert world.work() == 3  # the messages of the shards come too late
    assert world.ports.queue.depth(SHARDS) == 0
    assert world.job() == job


def test_a_job_stopped_before_its_plan_ends(world: World) -> None:
    world.submit(FILES)
    world.stop()

    job = world.settle()

    assert (job.status, job.total) == ("Stopped", 0)
    assert csv_rows(world.ports, job) == []
