from __future__ import annotations

import json
from pathlib import Path

from hookline.batch import manifest, plan, shards
from hookline.core.records import Shard, Volume, number
from hookline.core.topology import FINISH, PLAN, SHARDS
from tests.invariants import check_job, check_moves
from tests.unit.batch.world import TENANT, World

FILES = {f"{n:03}": b"x" for n in range(40)}


def waiting(world: World, queue: str) -> list[dict[str, object]]:
    return [json.loads(lease.body) for lease in world.ports.queue.receive(queue, 10, lease_s=60)]


def test_a_plan_freezes_the_job_and_calls_the_workers(world: World) -> None:
    world.submit(FILES)

    world.plan()

    job = world.job()
    assert (job.status, job.total, job.shards) == ("Queued", 40, 3)
    assert [(shard.first, shard.count) for shard in world.shards()] == [(0, 16), (16, 16), (32, 8)]
    assert waiting(world, SHARDS) == [
        {"tenant": TENANT, "job_id": 21, "index": index} for index in range(3)
    ]


def test_a_second_plan_message_only_repeats_the_calls(world: World) -> None:
    world.submit(FILES)
    world.plan()
    before = (world.job(), world.shards())
    world.ports.queue.send(PLAN, [b'{"tenant": "acme", "job_id": 21}'])

    world.plan()

    assert (world.job(), world.shards()) == before
    assert len(waiting(world, SHARDS)) == 6


def test_a_plan_that_finds_some_records_makes_the_others(world: World) -> None:
    world.submit(FILES)
    made = Shard(tenant=TENANT, job_id=21, index=1, first=16, count=16)
    world.ports.catalog.put(made)

    world.plan()

    assert [shard.key for shard in world.shards()] == [
        f"{number(21)}/{number(index)}" for index in range(3)
    ]


def test_an_empty_volume_completes_at_once_with_an_empty_csv(world: World) -> None:
    world.submit({})

    job = world.settle()

    assert (job.status, job.total, job.results_size_bytes) == ("Completed", 0, 0)
    check_job(world.ports, job, [])
    check_moves(world.recorder.jobs)


def test_a_job_without_its_model_fails(world: World) -> None:
    world.volume(FILES)
    world.submit()

    world.plan()

    job = world.job()
    assert job.status == "Failed"
    assert job.failure is not None
    assert (job.failure.code, job.failure.message[:20]) == ("not_found", "There is no model 2.")
    assert waiting(world, SHARDS) == []


def test_a_job_without_its_volume_fails(world: World) -> None:
    world.model()
    world.submit()

    world.plan()

    failure = world.job().failure
    assert failure is not None
    assert failure.message.startswith("There is no volume 56.")


def test_a_job_whose_linked_folder_is_gone_fails(world: World, tmp_path: Path) -> None:
    world.volume({}, link=(tmp_path / "gone").as_uri())
    world.model()
    world.submit()

    world.plan()

    failure = world.job().failure
    assert failure is not None
    assert failure.code == "not_found"


def test_a_job_stopped_before_its_plan_is_handed_to_the_finisher(world: World) -> None:
    world.submit(FILES)
    world.ports.catalog.put(world.job().changed(status="Stopping"))

    world.plan()

    assert world.shards() == []
    assert waiting(world, SHARDS) == []
    assert len(waiting(world, FINISH)) == 1


def test_plans_of_jobs_that_ended_or_never_were_do_nothing(world: World) -> None:
    world.submit(FILES)
    world.ports.catalog.put(world.job().changed(status="Stopped"))
    world.ports.queue.send(PLAN, [b'{"tenant": "acme", "job_id": 22}'])

    assert world.plan() == 2
    assert world.shards() == []
    assert waiting(world, SHARDS) == waiting(world, FINISH) == []


def test_a_job_that_is_stopped_while_its_files_are_listed_has_none(world: World) -> None:
    """The planner has stored shards by then, but not that the job has them."""
    job = world.submit(FILES)
    volume = world.ports.catalog.get(Volume, TENANT, job.volume_id)
    assert volume is not None
    shards.store(world.ports.catalog, manifest.freeze(world.ports, job, volume))
    world.stop()

    ended = world.settle()

    assert (ended.status, ended.total, ended.shards) == ("Stopped", 0, 0)
    check_job(world.ports, ended)


def test_dotfiles_are_no_files_of_a_job(world: World) -> None:
    world.submit(dict.fromkeys((".DS_Store", ".git/config", "a", "b/.c", "b/d", "e.f"), b"x"))

    job = world.settle()

    check_job(world.ports, job, ["a", "b/d", "e.f"])
    assert job.left_out == {}


def test_a_job_counts_what_no_listing_shows(world: World) -> None:
    world.submit(FILES)

    plan.plan(world.ports, TENANT, 21, left_out=lambda source: {source.prefix: 2})

    assert world.job().left_out == {"acme/volumes/56/": 2}


def test_the_small_shards_are_called_last_but_for_the_smallest(world: World) -> None:
    """So all workers come to the end at about the same time."""
    files = 4 * (16 + 32 + 64) + 50
    world.submit({f"{n:04}": b"x" for n in range(files)})

    world.plan()

    sizes = {shard.index: shard.count for shard in world.shards()}
    called = [int(str(body["index"])) for body in waiting(world, SHARDS)]
    called += [int(str(body["index"])) for body in waiting(world, SHARDS)]
    assert [sizes[index] for index in called] == [16] * 4 + [50] + [64] * 4 + [32] * 4
