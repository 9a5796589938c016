"""A disk that fills up at any stage of a job stops it, and harms nothing; space lets it go on."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from hookline.adapters.embedded import wiring
from hookline.batch import manifest
from hookline.core.errors import HooklineError
from tests.fakes import FakeClock, FakeFleet
from tests.invariants import check_job, check_moves
from tests.unit.batch.world import LEASE_S, World

SIZE = "4m"
FILES = {f"{n:02}.txt": b"x" * 2000 for n in range(40)}
STAGES = ("submitted", "planned", "half done", "all done")
LEFT_BYTES = (0, 8 * 1024, 64 * 1024)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes, which only root may mount."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small tmpfs takes root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path, left_bytes: int) -> Path:
    """Take all space but so much."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"\0" * 4096)
    with ballast.open("rb+") as file:
        file.truncate(max(0, ballast.stat().st_size - left_bytes))
    return ballast


def tried(step: Callable[[], int]) -> int:
    """As the host tries: what fails for want of space is tried again later."""
    try:
        return step()
    except HooklineError:
        return 0


def turn(world: World) -> None:
    for step in (world.plan, world.work_once, world.finish):
        tried(step)
    world.clock.advance(LEASE_S)


def brought_to(world: World, stage: str) -> None:
    world.submit(FILES)
    if stage != "submitted":
        world.plan()
    if stage == "half done":
        world.work_once()
    if stage == "all done":
        world.work()


def check_databases(home: Path) -> None:
    for name in ("catalog.db", "queue.db"):
        with closing(sqlite3.connect(home / name)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "FIRST_SHARD_FILES", 4)


@pytest.mark.slow
@pytest.mark.parametrize("left_bytes", LEFT_BYTES)
@pytest.mark.parametrize("stage", STAGES)
def test_a_full_disk_stops_a_job_and_loses_nothing(
    small_disk: Path, clock: FakeClock, stage: str, left_bytes: int
) -> None:
    home = small_disk / "home"
    world = World(wiring.ports(home, fleet=FakeFleet(clock), clock=clock), clock)
    brought_to(world, stage)
    ballast = fill(small_disk, left_bytes)
    for _ in range(6):
        turn(world)
    ballast.unlink()

    job = world.settle()

    assert (job.status, job.succeeded) == ("Completed", 40)
    check_job(world.ports, job, list(FILES))
    check_moves(world.recorder.jobs)
    check_databases(home)
