"""Whatever single call goes wrong, in whatever way, a job ends with exactly one row per file.

The reference job has 12 files in 4 shards and 2 workers. It is run to its end, or stopped halfway,
or run and then retried; each time every call on the catalog, the blobs, the queue and the clock is
made to go wrong in each mode. `make test` takes samples, `make test-faults` takes them all.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from hookline.batch import manifest
from hookline.core.records import Job
from hookline.core.topology import SHARDS
from tests.invariants import check_job, check_moves, csv_rows
from tests.unit.batch.cloud import Cloud
from tests.unit.batch.faulty import MODES, Mode

FILES = {f"{n:02}.txt": b"x" for n in range(12)} | {"04.txt": b"bad", "08.txt": b"crash"}
MANY = 10_000
SAMPLED_EVERY = 23

Life = Callable[[Cloud], Job]


def to_its_end(cloud: Cloud) -> Job:
    return _ended_with_two_errors(cloud, cloud.settle())


def stopped(cloud: Cloud) -> Job:
    """A stop in the middle: what was done stays, nothing else is there."""
    cloud.plan()
    cloud.work(0)
    if cloud.clean.job().status in ("Received", "Queued", "Running"):
        cloud.clean.stop()
    job = cloud.settle()
    assert job.status == "Stopped"
    return job


def retried(cloud: Cloud) -> Job:
    """Two files failed; one of them has been mended since."""
    _ended_with_two_errors(cloud, cloud.settle())
    cloud.clean.ports.blobs.put("acme/volumes/56/04.txt", b"mended")
    cloud.clean.retry()
    job = cloud.settle()
    assert (job.status, job.total, job.failed) == ("CompletedWithErrors", 12, 1)
    rows = csv_rows(cloud.clean.ports, job)
    assert [row[0] for row in rows if row[2]] == ["08.txt"]
    assert rows[4][1] == "MENDED"
    return job


LIVES: dict[str, Life] = {"to its end": to_its_end, "stopped": stopped, "retried": retried}


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
        cloud = Cloud(Path(home), FILES, {at: mode})
        try:
            job = life(cloud)
            check_job(cloud.clean.ports, job, list(FILES))
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
def _four_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "FIRST_SHARD_FILES", 3)


@pytest.mark.parametrize("life", LIVES.values(), ids=LIVES)
def test_the_reference_job_makes_the_calls_that_the_loop_breaks(folder: Path, life: Life) -> None:
    calls = run(folder, life, MANY, "refused").fault.calls

    assert 80 < calls < 600


@pytest.mark.parametrize("life", LIVES.values(), ids=LIVES)
@pytest.mark.parametrize("mode", MODES)
def test_a_call_that_goes_wrong_costs_no_row(folder: Path, mode: Mode, life: Life) -> None:
    calls = run(folder, life, MANY, mode).fault.calls
    start = MODES.index(mode)
    for at in range(1 + start, calls, SAMPLED_EVERY):
        assert run(folder, life, at, mode).fault.has_fired


@pytest.mark.faults
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("life", LIVES.values(), ids=LIVES)
@pytest.mark.parametrize("mode", MODES)
def test_any_call_that_goes_wrong_costs_no_row(
    folder: Path, mode: Mode, life: Life, capsys: pytest.CaptureFixture[str]
) -> None:
    at = 1
    while run(folder, life, at, mode).fault.has_fired:
        at += 1
    with capsys.disabled():
        sys.stdout.write(
            f"\n{at - 1} calls of a job {life.__name__.replace('_', ' ')}, {mode}: no violation"
        )
