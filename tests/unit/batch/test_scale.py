"""Planning takes the memory of a shard, however many files there are."""

from __future__ import annotations

import gc
import tracemalloc
from dataclasses import replace
from typing import Any

import pytest

from hookline.batch import manifest
from hookline.core.ports import MAX_PAGE
from tests.unit.batch.vast import VastVolume
from tests.unit.batch.world import World


def planned(world: World, files: int) -> tuple[VastVolume, int]:
    """The volume that the next job of `world` has listed, and the most bytes held meanwhile."""
    vast: Any = VastVolume(files)  # can only be listed
    world.ports = replace(world.ports, linked=lambda _: vast)
    world.submit()
    gc.collect()
    tracemalloc.start()
    try:
        world.plan()
        return vast, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_ten_times_the_files_take_no_more_memory(world: World) -> None:
    world.volume({}, link="file:///vast")
    world.model()
    planned(world, 2_000)  # what is loaded once
    world.job_id += 1
    _, small_bytes = planned(world, 10_000)
    world.job_id += 1

    vast, large_bytes = planned(world, 50_000)

    assert large_bytes < 1.5 * small_bytes
    assert vast.pages == -(-50_000 // MAX_PAGE)
    job, shards = world.job(), world.shards()
    assert (job.status, job.total, job.shards) == ("Queued", 50_000, len(shards))
    assert [shard.first for shard in shards[1:]] == [s.first + s.count for s in shards[:-1]]
    assert max(shard.count for shard in shards) == manifest.MAX_SHARD_FILES
    assert world.ports.queue.depth("shards") >= len(shards)
    last = manifest.entries_of(world.ports.blobs, shards[-1])[-1]
    assert (last.index, last.name) == (49_999, "part-00049999.png")
