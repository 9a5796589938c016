"""The same engine on both worlds, with queues that repeat, reorder, delay and forget."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hookline.batch import manifest
from hookline.core.errors import HooklineError
from hookline.core.records import Job
from hookline.core.topology import SHARDS
from tests.contract.adapters import WORLDS
from tests.fakes import FakeClock
from tests.hostile import HostileQueue
from tests.invariants import check_job, check_moves, check_shards
from tests.unit.batch.world import LEASE_S, World

FILES = {f"{n:02}.txt": b"x" for n in range(24)} | {"07.txt": b"bad", "15.txt": b"crash"}
ROUNDS = 12
RATES = (0.1, 0.5, 0.9)


def struggled(world: World, queue: HostileQueue) -> Job:
    """Rounds of hostility, then calm until the job ends."""
    for round_ in range(ROUNDS + 40):
        queue.is_calm = round_ >= ROUNDS
        for step in (world.plan, world.work_once, world.work_once, world.finish):
            try:
                step()
            except HooklineError:  # the host polls again
                continue
            check_shards(world.ports, world.job())
        if queue.is_calm and world.job().has_ended and not world.ports.queue.depth(SHARDS):
            break
        world.clock.advance(LEASE_S / 2)
    return world.job()


def check(world: str, home: Path, clock: FakeClock, seed: int, rate: float) -> int:
    """How often the queue did wrong."""
    with WORLDS[world](home, clock) as ports:
        queue = HostileQueue(ports.queue, seed, rate)
        engine = World(replace(ports, queue=queue), clock)
        engine.submit(FILES)
        job = struggled(engine, queue)
        assert (job.status, job.total, job.failed) == ("CompletedWithErrors", 24, 2), (seed, rate)
        check_job(ports, job, list(FILES))
        check_moves(engine.recorder.jobs)
        return queue.wrongs


@pytest.fixture(autouse=True)
def _shards_of_three(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "FIRST_SHARD_FILES", 3)


@pytest.mark.slow
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("world", WORLDS)
def test_a_hostile_queue_costs_no_row(
    home: Path, clock: FakeClock, world: str, rate: float
) -> None:
    assert check(world, home, clock, seed=7, rate=rate) > 0


@pytest.mark.faults
@pytest.mark.timeout(900)
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("world", WORLDS)
def test_many_hostile_queues_cost_no_row(
    tmp_path: Path, clock: FakeClock, world: str, rate: float
) -> None:
    for seed in range(20):
        assert check(world, tmp_path / f"{seed}", clock, seed, rate) > 0
