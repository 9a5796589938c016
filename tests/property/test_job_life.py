"""A model of the whole life of jobs: whoever does what in which order, the promises hold.

The control plane is asked over its own handlers; planner, workers and finisher take messages when
the test says so; workers die in the middle of files; messages are doubled; clocks jump; files
appear, change and vanish; jobs are stopped and retried.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from hookline.adapters.embedded import wiring
from hookline.batch import manifest
from hookline.batch.worker import Worker
from hookline.core.errors import HooklineError
from hookline.core.records import Job
from hookline.core.topology import FINISH, PLAN, SHARDS
from tests.fakes import FakeClock, FakeFleet
from tests.invariants import check_job, check_moves, check_shards, csv_rows
from tests.unit.batch.faulty import Killed
from tests.unit.batch.world import TENANT, World
from tests.unit.control.events import Plane

WHO = {"tenant": TENANT, "user": "ada", "role": "admin"}
NAMES = st.sampled_from([f"{n:02}" for n in range(12)])
BODIES = st.sampled_from([b"x", b"bad", b"crash", b"-1, 2", b"=1+1"])
QUEUES = st.sampled_from([PLAN, SHARDS, FINISH])
MAX_JOBS = 4
MAX_DEATHS = 6  # files in hand at two deaths may be given up; the rest must not suffer


class JobLife(RuleBasedStateMachine):
    """`files` is what the volume has; `frozen` what each job's manifest had when it was listed."""

    def __init__(self) -> None:
        super().__init__()
        self.undo = ExitStack()

    @initialize(files=st.dictionaries(NAMES, BODIES, min_size=1))
    def begin(self, files: dict[str, bytes]) -> None:
        memory = Path("/dev/shm")  # it is not the disk that is tested here
        folder = tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None)
        self.undo.enter_context(folder)
        patch = self.undo.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(manifest, "FIRST_SHARD_FILES", 2)
        self.clock = FakeClock()
        ports = wiring.ports(Path(folder.name), fleet=FakeFleet(self.clock), clock=self.clock)
        self.world = World(ports, self.clock)
        self.plane = Plane(self.world.ports)
        self.frozen: dict[int, set[str]] = {}
        self.deaths = 0
        self.world.volume(files)
        self.world.model()
        self.files = dict(files)
        self.worker = self.hired()

    def hired(self) -> Worker:
        self.world.engine.is_open = False
        return self.world.worker()

    def jobs(self) -> list[Job]:
        return list(self.world.ports.catalog.query(Job, TENANT, limit=100).items)

    @precondition(lambda self: len(self.jobs()) < MAX_JOBS)
    @rule()
    def submit(self) -> None:
        self.plane.made("/v1/batches", {"model_id": 2, "volume_id": 56}, who=WHO)

    @precondition(lambda self: 0 < len(self.jobs()) < MAX_JOBS)
    @rule(which=st.integers(0, MAX_JOBS))
    def retry(self, which: int) -> None:
        job = self.jobs()[which % len(self.jobs())]
        answer = self.plane("POST", f"/v1/batches/{job.id}/retry", {}, who=WHO)
        has_rows = job.shards and job.status in ("Stopped", "CompletedWithErrors")
        is_short = job.failed or job.succeeded < job.total
        assert answer.status == (201 if has_rows and is_short else 409)
        if answer.status == 201:
            self.frozen[answer.body["id"]] = self.frozen[job.id]

    @precondition(lambda self: bool(self.jobs()))
    @rule(which=st.integers(0, MAX_JOBS))
    def stop(self, which: int) -> None:
        job = self.jobs()[which % len(self.jobs())]
        answer = self.plane("POST", f"/v1/batches/{job.id}/stop", who=WHO)
        assert answer.body["status"] == (job.status if job.has_ended else "Stopping")

    @rule()
    def plan(self) -> None:
        self.world.plan()
        for job in self.jobs():
            if job.status == "Queued" and job.retry_of is None:
                self.frozen.setdefault(job.id, set(self.files))

    @rule()
    def work(self) -> None:
        self.worker.step()

    @precondition(lambda self: self.deaths < MAX_DEATHS)
    @rule(after=st.integers(1, 3))
    def work_and_die(self, after: int) -> None:
        left = [None] * after

        def die_later() -> None:
            left.pop()
            if not left:
                raise Killed

        self.world.engine.on_run = die_later
        try:
            self.worker.step()
        except Killed:
            self.deaths += 1
            self.worker.close()
            self.worker = self.hired()
        finally:
            self.world.engine.on_run = lambda: None

    @rule()
    def finish(self) -> None:
        self.world.finish()

    @rule(queue=QUEUES)
    def deliver_twice(self, queue: str) -> None:
        leases = self.world.ports.queue.receive(queue, 5, lease_s=30)
        self.world.ports.queue.send(queue, [lease.body for lease in reversed(leases)])

    @rule(seconds=st.sampled_from([1, 20, 61, 3600, -1, -600]))
    def time_passes_or_goes_back(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule(name=NAMES, body=BODIES)
    def a_file_lands(self, name: str, body: bytes) -> None:
        self.world.ports.blobs.put(f"{TENANT}/volumes/56/{name}", body)
        self.files[name] = body

    @rule(name=NAMES)
    def a_file_vanishes(self, name: str) -> None:
        self.world.ports.blobs.delete(f"{TENANT}/volumes/56/{name}")
        self.files.pop(name, None)

    @precondition(lambda self: bool(self.jobs()))
    @rule(which=st.integers(0, MAX_JOBS))
    def verify(self, which: int) -> None:
        job = self.jobs()[which % len(self.jobs())]
        page = self.plane.shown(f"/v1/batches/{job.id}/verify", who=WHO)
        assert page["problems"] == []

    @invariant()
    def every_moment_is_right(self) -> None:
        for job in self.jobs():
            check_shards(self.world.ports, job)
            check_moves([each for each in self.world.recorder.jobs if each.id == job.id])
            if job.has_ended:
                self.check(job)

    def check(self, job: Job) -> None:
        assert job.status != "Failed", job.failure
        names = self.frozen.get(job.id) if job.shards else None
        check_job(self.world.ports, job, sorted(names) if names is not None else None)
        codes = {
            row[2].partition(":")[0]
            for row in csv_rows(self.world.ports, job)
            if len(row) > 2 and row[2]
        }
        assert codes <= {"hook_failed", "hook_crashed", "input_changed"}

    def teardown(self) -> None:
        with self.undo:
            self.settle()
            self.worker.close()

    def settle(self) -> None:
        """Whatever has happened, every job comes to an end."""
        for _ in range(200):
            moved = 0
            for step in (self.world.plan, self.worker.step, self.world.finish):
                try:
                    moved += int(step())
                except HooklineError:
                    moved += 1
            if not moved and all(job.has_ended for job in self.jobs()):
                break
            if not moved:
                self.clock.advance(3601)
        for job in self.jobs():
            assert job.has_ended, job
            self.check(job)


def lived(examples: int, steps: int) -> None:
    chosen = settings(
        max_examples=examples, stateful_step_count=steps, deadline=None, print_blob=True
    )
    machine: Any = JobLife
    run_state_machine_as_test(machine, settings=chosen)


@pytest.mark.slow
def test_the_promises_hold_whatever_happens() -> None:
    lived(examples=15, steps=40)


@pytest.mark.faults
@pytest.mark.timeout(1800)
def test_the_promises_hold_whatever_happens_for_long() -> None:
    lived(examples=300, steps=60)
