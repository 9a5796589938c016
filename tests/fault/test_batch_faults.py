"""Whatever single call goes wrong, in whatever way, a job ends with exactly one row per file."""

from __future__ import annotations

from pathlib import Path

import pytest

from hookline.batch import manifest
from hookline.core.topology import SHARDS
from tests.invariants import check_job, check_moves, csv_rows
from tests.unit.batch.cloud import Cloud
from tests.unit.batch.faulty import MODES, Mode

FILES = {f"{n:02}.txt": b"x" for n in range(12)} | {"04.txt": b"bad", "08.txt": b"crash"}
MANY = 10_000


def run(home: Path, at: int, mode: Mode) -> Cloud:
    cloud = Cloud(home, FILES, {at: mode})
    job = cloud.settle()
    cloud.close()
    assert (job.status, job.total, job.failed) == ("CompletedWithErrors", 12, 2)
    failed = {
        row[0]: row[2].partition(":")[0] for row in csv_rows(cloud.clean.ports, job) if row[2]
    }
    assert failed == {"04.txt": "hook_failed", "08.txt": "hook_crashed"}
    check_job(cloud.clean.ports, job, list(FILES))
    check_moves(cloud.clean.recorder.jobs)
    assert cloud.clean.ports.queue.dead(SHARDS) == []
    return cloud


@pytest.fixture(autouse=True)
def _four_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "FIRST_SHARD_FILES", 3)


def test_the_reference_job_makes_the_calls_that_the_loop_breaks(tmp_path: Path) -> None:
    calls = run(tmp_path, MANY, "refused").fault.calls

    assert 100 < calls < 400


@pytest.mark.parametrize("mode", MODES)
def test_a_call_that_goes_wrong_costs_no_row(tmp_path: Path, mode: Mode) -> None:
    calls = run(tmp_path / "calm", MANY, mode).fault.calls
    start = MODES.index(mode)
    for at in range(1 + start, calls, 23):
        assert run(tmp_path / f"{at}", at, mode).fault.has_fired


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("mode", MODES)
def test_any_call_that_goes_wrong_costs_no_row(tmp_path: Path, mode: Mode) -> None:
    at = 1
    while run(tmp_path / f"{at}", at, mode).fault.has_fired:
        at += 1
