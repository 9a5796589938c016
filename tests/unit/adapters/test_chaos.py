from __future__ import annotations

from pathlib import Path

from hookline.adapters.embedded.chaos import ChaosQueue
from hookline.adapters.embedded.queue import SqliteQueue
from hookline.core.topology import PLAN
from tests.fakes import FakeClock

SENT = [b"%03d" % index for index in range(200)]


def delivered(path: Path, seed: int) -> list[list[bytes]]:
    """What comes at once, and what comes each second later."""
    clock = FakeClock()
    queue = ChaosQueue(SqliteQueue.open(path, clock=clock), seed)
    queue.send(PLAN, SENT)
    seconds: list[list[bytes]] = []
    for _ in range(4):
        seconds.append([])
        while leases := queue.receive(PLAN, 10, lease_s=60):
            seconds[-1] += [lease.body for lease in leases]
        clock.advance(1)
    return seconds


def test_chaos_duplicates_reorders_and_delays_but_loses_nothing(tmp_path: Path) -> None:
    seconds = delivered(tmp_path / "q.db", seed=1)
    flat = [body for second in seconds for body in second]

    assert set(flat) == set(SENT)
    assert len(flat) > len(SENT)
    assert flat != sorted(flat)
    assert len(seconds[0]) < len(flat)


def test_the_same_seed_makes_the_same_disorder(tmp_path: Path) -> None:
    one, two, other = (
        delivered(tmp_path / f"{index}.db", seed) for index, seed in enumerate([1, 1, 2])
    )

    assert one == two
    assert one != other
