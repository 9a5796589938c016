"""A worker takes shards and turns each into exactly one part, whatever happens meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from hookline.batch import journal, parts, rows
from hookline.batch.row_file import RowFile
from hookline.batch.worker import Worker
from hookline.core.errors import Unavailable
from hookline.core.models import Model
from hookline.core.records import Job, Shard
from hookline.core.rows import Row
from hookline.core.topology import FINISH, PLAN, SHARDS
from hookline.runtime.engine import EngineDied
from hookline.runtime.items import Answer
from tests.invariants import check_job, check_moves, check_shards, csv_rows
from tests.unit.batch.faulty import Killed
from tests.unit.batch.world import LEASE_S, TENANT, FakeEngine, R, Recorder, World, refuse

FILES = {f"{n:03}.txt": f"body {n}".encode() for n in range(40)}


def take_first(world: World) -> Worker:
    """A worker that has made one step."""
    worker = world.worker()
    assert worker.step()
    return worker


def test_a_job_goes_from_received_to_one_csv(world: World) -> None:
    world.submit(FILES)

    job = world.settle()

    assert job.status == "Completed"
    assert (job.total, job.succeeded, job.failed) == (40, 40, 0)
    assert csv_rows(world.ports, job) == [[n, body.decode().upper()] for n, body in FILES.items()]
    check_job(world.ports, job, list(FILES))
    check_moves(world.recorder.jobs)
    assert [after.status for after in world.recorder.jobs] == [
        "Received",
        "Queued",
        "Running",
        "Completed",
    ]


def test_a_bad_file_fails_alone(world: World) -> None:
    world.submit(FILES | {"007.txt": b"bad"})

    job = world.settle()

    assert (job.status, job.succeeded, job.failed) == ("CompletedWithErrors", 39, 1)
    assert csv_rows(world.ports, job)[7] == [
        "007.txt",
        "",
        "hook_failed: preprocess raised ValueError. too small",
    ]
    check_job(world.ports, job, list(FILES))


def test_a_file_that_kills_the_engine_is_the_only_one_that_fails(world: World) -> None:
    world.submit(FILES | {"007.txt": b"crash", "030.txt": b"crash"})

    job = world.settle()

    assert (job.succeeded, job.failed) == (38, 2)
    failed = [row for row in csv_rows(world.ports, job) if row[2]]
    assert [row[0] for row in failed] == ["007.txt", "030.txt"]
    assert all(row[2].startswith("hook_crashed: ") for row in failed)
    assert "killed by SIGSEGV" in failed[0][2]
    check_job(world.ports, job, list(FILES))


def test_the_engine_stays_for_the_next_shard(world: World) -> None:
    world.submit(FILES)
    world.plan()

    assert world.work() == 3
    assert world.engine.opened == 1
    assert not world.engine.is_open


def test_batches_grow_while_the_engine_is_quick(world: World) -> None:
    world.submit({f"{n:03}": b"x" for n in range(200)})

    world.settle()

    assert len(world.engine.seen) == 200
    assert world.engine.runs < 30


def test_hooks_that_do_not_load_end_the_job_with_their_own_words(world: World) -> None:
    world.submit(FILES)

    job = world.settle(refuse)

    assert job.status == "Failed"
    assert job.failure is not None
    assert (job.failure.code, job.failure.trace) == ("model_load_failed", "line 1: import nothing")
    assert world.ports.queue.depth(SHARDS) == 0
    check_job(world.ports, job)


def test_an_engine_that_dies_while_it_loads_ends_the_job(world: World) -> None:
    def die(_job: Job, _model: Model) -> FakeEngine:
        raise EngineDied("killed by SIGSEGV")

    world.submit(FILES)

    failure = world.settle(die).failure

    assert failure is not None
    assert failure.code == "model_load_failed"
    assert "SIGSEGV" in failure.message


def test_an_engine_that_is_killed_once_while_it_loads_is_opened_again(world: World) -> None:
    deaths = ["killed by SIGKILL", "killed by SIGKILL"]

    def sometimes(job: Job, model: Model) -> FakeEngine:
        if deaths:
            raise EngineDied(deaths.pop())
        return world.engine.open(job, model)

    world.submit(FILES)

    job = world.settle(sometimes)

    assert (job.status, deaths) == ("Completed", [])
    check_job(world.ports, job, list(FILES))


def test_the_death_of_a_worker_costs_the_rows_of_a_few_seconds(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "SAVE_EVERY_S", -1.0)
    world.submit({f"{n:02}": b"x" for n in range(16)})
    world.plan()
    worker = world.worker()

    def die_at_the_third() -> None:
        if world.engine.runs == 3:
            raise Killed

    world.engine.on_run = die_at_the_third
    with pytest.raises(Killed):
        worker.step()
    worker.close()
    world.engine.on_run, world.engine.is_open = lambda: None, False
    done = world.engine.seen[:2]
    world.engine.seen.clear()

    job = world.settle()

    assert not set(done) & set(world.engine.seen)
    check_job(world.ports, job)
    assert world.ports.blobs.list(f"{TENANT}/jobs/21/journals/").items == []


def test_storage_that_is_away_for_a_while_does_not_end_the_job(world: World) -> None:
    away = [True] * 7

    def sometimes(job: Job, model: Model) -> FakeEngine:
        if away and away.pop():
            raise Unavailable("The disk is full.")
        return world.engine.open(job, model)

    world.submit({f"{n}": b"x" for n in range(10)})  # one shard, which fails each time

    job = world.settle(sometimes)

    assert (job.status, away) == ("Completed", [])
    assert world.ports.queue.dead(SHARDS) == []


def test_a_changed_or_vanished_file_is_a_row_with_an_error(world: World) -> None:
    world.submit(FILES)
    world.plan()
    prefix = "acme/volumes/56/"
    world.ports.blobs.put(prefix + "001.txt", b"body 1 and more")
    world.ports.blobs.put(prefix + "002.txt", b"BODY 2")
    world.ports.blobs.delete(prefix + "003.txt")

    job = world.settle()

    errors = {row[0]: row[2] for row in csv_rows(world.ports, job) if row[2]}
    assert list(errors) == ["001.txt", "002.txt", "003.txt"]
    assert errors["001.txt"].startswith("input_changed: The file has changed.")
    assert errors["003.txt"].startswith("input_changed: The file is gone.")
    check_job(world.ports, job, list(FILES))


def test_messages_twice_and_in_any_order_make_the_same_csv(world: World) -> None:
    world.submit(FILES)
    world.plan()
    leases = world.ports.queue.receive(SHARDS, 10, lease_s=60)
    bodies = [lease.body for lease in reversed(leases)]
    world.ports.queue.send(SHARDS, bodies * 2)

    job = world.settle()

    assert len(world.engine.seen) == 40
    check_job(world.ports, job, list(FILES))


def test_a_job_that_ended_is_left_alone(world: World) -> None:
    world.submit(FILES)
    world.plan()
    world.ports.catalog.put(world.job().changed(status="Failed"))

    assert world.work() == 3
    assert world.engine.seen == []
    assert [shard.attempt for shard in world.shards()] == [0, 0, 0]


def test_a_stopped_job_keeps_the_rows_it_has(world: World) -> None:
    world.submit(FILES)
    world.plan()
    worker = take_first(world)
    world.stop()
    worker.close()

    job = world.settle()

    assert (job.status, job.total, job.succeeded) == ("Stopped", 40, 16)
    assert [row[0] for row in csv_rows(world.ports, job)] == list(FILES)[:16]
    check_job(world.ports, job, list(FILES))
    check_moves(world.recorder.jobs)


def test_a_stop_takes_effect_between_two_batches(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hookline.batch.watch.LOOK_S", 0.0)
    world.submit(FILES)
    world.plan()
    world.engine.on_run = lambda: world.stop() if world.engine.runs == 4 else None

    job = world.settle()

    assert world.engine.runs == 4
    assert (job.status, job.succeeded) == ("Stopped", len(world.engine.seen))
    check_job(world.ports, job, list(FILES))


def test_a_stop_waits_for_a_shard_that_a_worker_has_taken(world: World) -> None:
    world.submit(FILES)
    world.plan()
    seen_while_working: list[str] = []

    def stop() -> None:
        if world.engine.runs == 1:
            world.stop()
            world.finish()
            seen_while_working.append(world.job().status)

    world.engine.on_run = stop
    job = world.settle()

    assert seen_while_working == ["Stopping"]
    assert (job.status, job.succeeded) == ("Stopped", 16)
    check_job(world.ports, job, list(FILES))


def test_a_draining_worker_hands_its_shard_over_with_the_rows_so_far(world: World) -> None:
    world.submit(FILES)
    world.plan()
    world.engine.on_run = lambda: world.draining.set() if world.engine.runs == 4 else None
    worker = take_first(world)
    worker.close()
    world.draining.clear()
    assert 4 <= len(world.engine.seen) < 16

    job = world.settle()

    assert world.engine.seen == list(FILES)  # nothing twice
    check_job(world.ports, job, list(FILES))
    assert world.ports.blobs.list(job.prefix + "/journals/").items == []


def test_a_worker_that_lost_its_lease_leaves_the_shard_to_the_other(world: World) -> None:
    world.submit({"a": b"x", "b": b"y"})
    world.plan()

    def be_slow() -> None:
        if world.engine.runs == 1:
            world.clock.advance(LEASE_S)
            other = World(world.ports, world.clock)
            assert other.work() == 1

    world.engine.on_run = be_slow
    worker = take_first(world)
    worker.close()

    job = world.settle()

    assert world.shards()[0].attempt == 2
    assert (job.status, job.succeeded) == ("Completed", 2)
    check_job(world.ports, job, ["a", "b"])


class Interrupted(Recorder):
    """Something happens just before a worker takes its shard."""

    def __init__(self, world: World, interrupt: Callable[[], None]) -> None:
        super().__init__(world.ports.catalog)
        self._interrupt: list[Callable[[], None]] = [interrupt]

    def put(self, record: R) -> R:
        if isinstance(record, Shard) and self._interrupt:
            self._interrupt.pop()()
        return super().put(record)


def test_a_shard_taken_after_the_stop_adds_no_rows(world: World) -> None:
    world.submit(FILES)
    world.plan()
    take_first(world).close()
    seen = list(world.engine.seen)

    def stop() -> None:
        world.stop()
        world.finish()

    ports = replace(world.ports, catalog=Interrupted(world, stop))
    worker = Worker(ports, world.engine.open, draining=world.draining)
    assert worker.step()
    worker.close()

    assert world.engine.seen == seen
    assert world.settle().status == "Stopped"
    check_job(world.ports, world.job(), list(FILES))


def test_a_part_that_was_written_is_not_made_again(world: World) -> None:
    world.submit({"a": b"x"})
    world.plan()
    [shard] = world.shards()
    world.ports.catalog.put(shard.changed(attempt=1))
    parts.write(world.ports.blobs, shard, RowFile([Row(0, "a", "by the one who died")]))

    job = world.settle()

    assert world.engine.seen == []
    assert csv_rows(world.ports, job) == [["a", "by the one who died"]]


def test_a_late_part_of_a_zombie_is_ignored(world: World) -> None:
    world.submit({"a": b"x", "b": b"bad"})
    world.plan()

    def be_overtaken() -> None:
        if world.engine.runs == 1:
            world.clock.advance(LEASE_S)
            quick = World(world.ports, world.clock)
            quick.engine.answer = lambda _item: Answer(b"first", "text/plain")
            assert quick.work() == 1

    world.engine.on_run = be_overtaken
    take_first(world).close()

    assert [shard.is_done for shard in world.shards()] == [True]
    job = world.settle()
    assert csv_rows(world.ports, job) == [["a", "first"], ["b", "first"]]
    check_job(world.ports, job, ["a", "b"])


def test_a_file_that_kills_its_worker_is_the_only_one_that_fails(world: World) -> None:
    def kill() -> None:
        if "007.txt" in world.engine.seen[-32:] and world.engine.is_open:
            world.engine.seen.clear()
            raise Killed

    world.submit({f"{n:03}.txt": b"x" for n in range(12)})
    world.engine.on_run = kill
    deaths = 0
    while not world.job().has_ended:
        try:
            world.settle()
        except Killed:
            deaths += 1
            world.engine.is_open = False
            world.clock.advance(LEASE_S)

    job = world.job()
    assert deaths == 4  # two in a crowd, two as the suspect
    assert (job.succeeded, job.failed) == (11, 1)
    assert csv_rows(world.ports, job)[7][2].startswith("hook_crashed: The worker ended each time")
    check_job(world.ports, job, [f"{n:03}.txt" for n in range(12)])


def test_a_shard_whose_workers_always_die_still_comes_to_an_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "MAX_ATTEMPTS", 6)

    def kill() -> None:
        raise Killed

    world.submit({f"{n}": b"x" for n in range(12)})
    world.engine.on_run = kill
    while not world.job().has_ended:
        try:
            world.settle()
        except Killed:
            world.engine.is_open = False
            world.clock.advance(LEASE_S)

    job = world.job()
    assert (job.status, job.failed) == ("CompletedWithErrors", 12)
    assert csv_rows(world.ports, job)[-1][2].startswith("internal: The worker gave up after 6")
    check_job(world.ports, job, [f"{n}" for n in range(12)])


def test_progress_is_right_at_every_moment(world: World) -> None:
    world.submit(FILES)
    world.plan()
    worker = world.worker()
    while worker.step():
        check_shards(world.ports, world.job())
    worker.close()
    assert sum(shard.succeeded for shard in world.shards()) == 40


@pytest.mark.parametrize(
    "output", [b"\xff\xfe", b"x" * (16 * 1024 * 1024 + 1)], ids=["bytes", "huge"]
)
def test_an_output_that_no_cell_can_hold_is_an_error(world: World, output: bytes) -> None:
    world.submit({"a": b"x"})
    world.engine.answer = lambda _item: Answer(output, "text/plain")

    job = world.settle()

    assert csv_rows(world.ports, job)[0][2].startswith("invalid_output: ")


def test_a_message_about_nothing_is_dropped(world: World) -> None:
    world.ports.queue.send(SHARDS, [b'{"tenant": "acme", "job_id": 9, "index": 0}'])

    assert world.work() == 1
    assert world.ports.queue.depth(SHARDS) == world.ports.queue.depth(FINISH) == 0


def test_a_plan_repeated_after_the_end_changes_nothing(world: World) -> None:
    world.submit(FILES)
    before = world.settle()
    world.ports.queue.send(PLAN, [b'{"tenant": "acme", "job_id": 21}'])
    world.ports.queue.send(FINISH, [b'{"tenant": "acme", "job_id": 21}'])

    assert world.settle() == before
