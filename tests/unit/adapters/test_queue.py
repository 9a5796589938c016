from __future__ import annotations

from pathlib import Path

import pytest

from hookline.adapters.embedded.queue import SqliteQueue
from hookline.core.errors import Conflict
from hookline.core.topology import SHARDS
from tests.fakes import FakeClock


def test_a_new_host_ends_the_leases_of_the_one_before(tmp_path: Path, clock: FakeClock) -> None:
    queue = SqliteQueue.open(tmp_path / "queue.db", clock=clock)
    queue.send(SHARDS, [b"held"])
    queue.send(SHARDS, [b"later"], delay_s=60)
    [held] = queue.receive(SHARDS, 10, lease_s=600)
    assert queue.receive(SHARDS, 10, lease_s=600) == []
    queue.release()
    [again] = queue.receive(SHARDS, 10, lease_s=600)
    assert (again.body, again.attempts) == (b"held", 2)
    with pytest.raises(Conflict):
        queue.extend(held, 60)
