"""Whatever single call goes wrong, in whatever way, a job ends with exactly one row per file.

The reference job has 12 files in 4 shards and 2 workers. It is run to its end, or stopped halfway,
or run and then retried, or has 12 records of one file, or is asked for by a client and so is its
retry. Each time every call on the catalog, the blobs, what is read of them, the queue and the clock
is made to go wrong in each mode. `make test` takes samples, `make test-faults` takes them all.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from hookline.batch import journal, manifest
from hookline.core.records import Job
from hookline.core.topology import SHARDS
from tests.fault.conftest import Count
from tests.invariants import check_job, check_moves, csv_rows
from tests.unit.batch.cloud import Cloud
from tests.unit.batch.faulty import MODES, Mode
from tests.unit.batch.world import TENANT

FILES = {f"{n:02}.txt": b"x" for n in range(12)} | {"04.txt": b"bad", "08.txt": b"crash"}
RECORDS = {"all.csv": "".join(f"{body.decode()}\n" for body in FILES.values()).encode()}
MANY = 10_000
SAMPLED_EVERY = 41

Life = Callable[[Cloud], Job]


def to_its_end(cloud: Cloud) -> Job:
    cloud.clean.submit()
    return _ended_with_two_errors(cloud, cloud.settle())


def stopped(cloud: Cloud) -> Job:
    """A stop in the middle: what was done stays, nothing else is there."""
    cloud.clean.submit()
    cloud.plan()
    cloud.work(0)
    if cloud.clean.job().status in ("Received", "Queued", "Running"):
        cloud.clean.stop()
    job = cloud.settle()
    assert job.status == "Stopped"
    return job


def retried(cloud: Cloud) -> Job:
    """Two files failed; one of them has been mended since."""
    cloud.clean.submit()
    _ended_with_two_errors(cloud, cloud.settle())
    cloud.clean.ports.blobs.put("acme/volumes/56/04.txt", b"mended")
    cloud.clean.retry()
    job = cloud.settle()
    assert (job.status, job.total, job.failed) == ("CompletedWithErrors", 12, 1)
    rows = csv_rows(cloud.clean.ports, job)
    assert [row[0] for row in rows if row[2]] == ["08.txt"]
    assert rows[4][1] == "MENDED"
    return job


def of_records(cloud: Cloud) -> Job:
    """Each line of one file is a row, and stands beside its output."""
    cloud.clean.submit(split="lines", joins_input=True)
    job = cloud.settle()
    assert (job.status, job.total, job.failed) == ("CompletedWithErrors", 12, 2)
    rows = csv_rows(cloud.clean.ports, job)
    assert [row[0] for row in rows] == [f"all.csv#{number}" for number in range(1, 13)]
    assert [row[3] for row in rows] == [body.decode() for body in FILES.values()]
    return job


def asked_for(cloud: Cloud) -> Job:
    """However often the client had to ask, there are two jobs: the one and its retry."""
    catalog = cloud.clean.ports.catalog
    cloud.clean.job_id = cloud.asked("/v1/batches", {"model_id": 2, "volume_id": 56})
    _ended_with_two_errors(cloud, cloud.settle())
    first = cloud.clean.job_id
    cloud.clean.job_id = cloud.asked(f"/v1/batches/{first}/retry", {})
    job = _ended_with_two_errors(cloud, cloud.settle())
    assert [each.id for each in catalog.query(Job, TENANT).items] == [first, job.id]
    return job


LIVES: dict[str, Life] = {
    "to its end": to_its_end,
    "stopped": stopped,
    "retried": retried,
    "of records": of_records,
    "asked for": asked_for,
}


def _ended_with_two_errors(cloud: Cloud, job: Job) -> Job:
    assert (job.status, job.total, job.failed) == ("CompletedWithErrors", 12, 2)
    failed = {
        row[0]: row[2].partition(":")[0] for row in csv_rows(cloud.clean.ports, job) if row[2]
    }
    assert failed == {"04.txt": "hook_failed", "08.txt": "hook_crashed"}
    return job


def run(folder: Path, life: Life, at: int, mode: Mode) -> Cloud:
    """One job, in a folder of its own, with one call that goes wrong."""
    with tempfile.TemporaryDirectory(dir=folder) as home:
        is_of_records = life is of_records
        cloud = Cloud(Path(home), RECORDS if is_of_records else FILES, {at: mode})
        try:
            job = life(cloud)
            check_job(cloud.clean.ports, job, None if is_of_records else list(FILES))
            for job_id in {each.id for each in cloud.clean.recorder.jobs}:
                check_moves([each for each in cloud.clean.recorder.jobs if each.id == job_id])
            assert cloud.clean.ports.queue.dead(SHARDS) == []
        finally:
            cloud.close()
    return cloud


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """In memory where there is such a place: it is not the disk that is tested here."""
    memory = Path("/dev/shm")
    return memory if memory.is_dir() else tmp_path


@pytest.fixture(autouse=True)
def _four_shards_that_are_saved_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "FIRST_SHARD_FILES", 3)
    monkeypatch.setattr(journal, "SAVE_EVERY_S", -1.0)
    monkeypatch.setattr(journal, "MAX_LATEST_ROWS", 1)


@pytest.mark.parametrize("life", LIVES.values(), ids=LIVES)
def test_the_reference_job_makes_the_calls_that_the_loop_breaks(folder: Path, life: Life) -> None:
    calls = run(folder, life, MANY, "refused").fault.calls

    assert 80 < calls < 600


@pytest.mark.parametrize("life", LIVES.values(), ids=LIVES)
@pytest.mark.parametrize("mode", MODES)
def test_a_call_that_goes_wrong_costs_no_row(
    folder: Path, mode: Mode, life: Life, count: Count
) -> None:
    calls = run(folder, life, MANY, mode).fault.calls
    start = MODES.index(mode)
    sampled = range(1 + start, calls, SAMPLED_EVERY)
    for at in sampled:
        assert run(folder, life, at, mode).fault.has_fired
    count("calls of a job that went wrong, sampled", len(sampled))


@pytest.mark.faults
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("life", LIVES.values(), ids=LIVES)
@pytest.mark.parametrize("mode", MODES)
def test_any_call_that_goes_wrong_costs_no_row(
    folder: Path, mode: Mode, life: Life, count: Count
) -> None:
    at = 1
    while run(folder, life, at, mode).fault.has_fired:
        at += 1
    count(f"calls of a job {life.__name__.replace('_', ' ')} that went wrong", at - 1)
