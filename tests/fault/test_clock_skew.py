"""Clocks of processes may disagree: leases protect less then, and no row is lost or doubled."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from hookline.adapters.embedded import wiring
from hookline.batch import manifest
from tests.fakes import FakeClock, FakeFleet
from tests.invariants import check_job, check_moves, check_shards
from tests.unit.batch.world import LEASE_S, World

FILES = {f"{n:02}.txt": b"x" for n in range(24)} | {"07.txt": b"bad", "15.txt": b"crash"}
SKEWS_S = (-86400, -600, -61, 61, 600, 365 * 86400)


def at(home: Path, skew_s: float) -> World:
    clock = FakeClock()
    clock.advance(skew_s)
    return World(wiring.ports(home, fleet=FakeFleet(clock), clock=clock), clock)


@pytest.mark.parametrize("skew_s", SKEWS_S)
def test_a_host_and_a_worker_whose_clock_is_wrong_cost_no_row(
    home: Path, monkeypatch: pytest.MonkeyPatch, skew_s: int
) -> None:
    monkeypatch.setattr(manifest, "FIRST_SHARD_FILES", 3)
    world, other = at(home, 0), at(home, skew_s)
    other.ports = replace(other.ports, catalog=world.recorder)
    world.submit(FILES)

    def take_what_seems_abandoned() -> None:
        other.work_once()

    world.engine.on_run = take_what_seems_abandoned

    steps = [step for one in (world, other) for step in (one.plan, one.work_once, one.finish)]
    chance = Random(skew_s)
    for _ in range(400):
        chance.shuffle(steps)
        moved = sum(step() for step in steps)
        check_shards(world.ports, world.job())
        if not moved and world.job().has_ended:
            break
        for one in (world, other):
            one.clock.advance(0 if moved else LEASE_S)

    job = world.job()
    assert (job.status, job.total, job.failed) == ("CompletedWithErrors", 24, 2)
    check_job(world.ports, job, list(FILES))
    check_moves(world.recorder.jobs)
    assert other.engine.runs > 0 or skew_s < 0
