"""A batch engine in one thread: tests say what happens next; the user's code is a function."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from hookline.batch import finish, plan, shards
from hookline.batch.events import message
from hookline.batch.session import OpenEngine
from hookline.batch.worker import Worker
from hookline.core.errors import HookFailed, ModelLoadFailed
from hookline.core.models import Model
from hookline.core.ports import Catalog, Delete, Lease, Page, Ports, Put
from hookline.core.records import Job, Record, Serving, Shard, Volume
from hookline.core.topology import FINISH, PLAN, Handler, queue_spec
from hookline.runtime.engine import EngineDied
from hookline.runtime.items import Answer, Item, Outcome
from tests.fakes import FakeClock
from tests.granted import granted

TENANT = "acme"
LEASE_S = 61  # after this time every lease of a worker has ended

R = TypeVar("R", bound=Record)


def shout(item: Item) -> Outcome:
    """The body in upper case, or what goes wrong with this one."""
    if item.body == b"bad":
        return HookFailed("preprocess raised ValueError.", why="too small")
    return Answer(item.body.upper(), "application/json")


class FakeEngine:
    """Runs `answer` on every item; a body can say that it crashes the engine."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.runs = self.opened = 0
        self.is_open = False
        self.on_run: Callable[[], None] = lambda: None
        self.answer: Callable[[Item], Outcome] = shout

    def open(self, job: Job, model: Model) -> FakeEngine:
        assert (job.tenant, job.model_id) == (model.tenant, model.id)
        assert not self.is_open
        self.opened, self.is_open = self.opened + 1, True
        return self

    def run(self, items: Sequence[Item], timeout_s: float) -> list[Outcome]:
        assert self.is_open
        assert timeout_s > 0
        self.runs += 1
        self.seen += [item.name for item in items]
        self.on_run()
        if any(item.body == b"crash" for item in items):
            raise EngineDied("killed by SIGSEGV")
        return [self.answer(item) for item in items]

    def close(self) -> None:
        self.is_open = False


def refuse(_job: Job, _model: Model) -> FakeEngine:
    """An engine whose hooks do not import."""
    raise ModelLoadFailed("inference.py raised ImportError.", trace="line 1: import nothing")


class Recorder:
    """A catalog that remembers every version of a job that was stored."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self.jobs: list[Job] = []

    def get(self, kind: type[R], tenant: str, key: str | int) -> R | None:
        return self._catalog.get(kind, tenant, key)

    def put(self, record: R) -> R:
        stored = self._catalog.put(record)
        if isinstance(stored, Job):
            self.jobs.append(stored)
        return stored

    def delete(self, record: Record) -> None:
        self._catalog.delete(record)

    def query(
        self, kind: type[R], tenant: str, *, prefix: str = "", after: str = "", limit: int = 100
    ) -> Page[R]:
        return self._catalog.query(kind, tenant, prefix=prefix, after=after, limit=limit)

    def transact(self, writes: Sequence[Put | Delete]) -> None:
        self._catalog.transact(writes)
        for write in writes:
            if isinstance(write, Put) and isinstance(write.record, Job):
                self.jobs.append(write.record)


class World:
    """One volume, one model, one job, and the functions and workers that run it."""

    def __init__(self, ports: Ports, clock: FakeClock) -> None:
        self.recorder = Recorder(ports.catalog)
        self.ports, self.clock = replace(ports, catalog=self.recorder), clock
        self.engine = FakeEngine()
        self.draining = threading.Event()
        self.job_id = 21

    def volume(self, files: Mapping[str, bytes], link: str = "") -> Volume:
        """Volume 56 with these files."""
        volume = Volume(tenant=TENANT, id=56, name="v", link=link, created_at=0.0)
        for name, body in files.items():
            self.ports.blobs.put(volume.prefix + name, body)
        return self.ports.catalog.put(volume)

    def model(self) -> Model:
        """Model 2."""
        model = Model(
            tenant=TENANT,
            id=2,
            name="m",
            format="onnx",
            sha256="0" * 64,
            size_bytes=1,
            inputs=(),
            outputs=(),
            created_at=0.0,
        )
        return self.ports.catalog.put(model)

    def submit(
        self, files: Mapping[str, bytes] | None = None, *, only: str = "", **fields: Any
    ) -> Job:
        """Job 21, as the control plane leaves it: Received, with a plan message."""
        if files is not None:
            self.volume(files)
            self.model()
        return self._submitted(only=only, **fields)

    def retry(self) -> Job:
        """The next job, which makes the failed rows of the present one again."""
        self.job_id += 1
        return self._submitted(retry_of=self.job_id - 1)

    def _submitted(self, **fields: Any) -> Job:
        now = self.clock()
        job = Job(
            tenant=TENANT,
            id=self.job_id,
            model_id=2,
            volume_id=56,
            serving=Serving(),
            created_at=now,
            updated_at=now,
            **fields,
        )
        job = self.ports.catalog.put(job)
        self.ports.queue.send(PLAN, [message(TENANT, self.job_id)])
        return job

    def job(self) -> Job:
        job = self.ports.catalog.get(Job, TENANT, self.job_id)
        assert job is not None
        return job

    def shards(self) -> list[Shard]:
        return list(shards.of_job(self.ports.catalog, self.job()))

    def stop(self) -> None:
        """As the control plane stops a job."""
        self.ports.catalog.put(self.job().changed(status="Stopping"))
        self.ports.queue.send(FINISH, [message(TENANT, self.job_id)])

    def worker(self, open_engine: OpenEngine | None = None) -> Worker:
        ports = granted(self.ports, "worker")
        return Worker(ports, open_engine or self.engine.open, draining=self.draining)

    def plan(self) -> int:
        return self._deliver(PLAN, plan.build(granted(self.ports, "plan")))

    def finish(self) -> int:
        return self._deliver(FINISH, finish.build(granted(self.ports, "finish")))

    def work(self, open_engine: OpenEngine | None = None) -> int:
        """One worker, until no message is left."""
        worker, steps = self.worker(open_engine), 0
        while worker.step():
            steps += 1
        worker.close()
        return steps

    def work_once(self) -> int:
        """One message of a worker that is gone afterwards."""
        worker = self.worker()
        try:
            return int(worker.step())
        finally:
            worker.close()

    def settle(self, open_engine: OpenEngine | None = None) -> Job:
        """Let everything happen that will, waiting out leases and delays."""
        for _ in range(100):
            if not (self.plan() + self.work(open_engine) + self.finish()):
                if self.job().has_ended:
                    return self.job()
                self.clock.advance(LEASE_S)
        raise AssertionError(f"The job hangs: {self.job()!r}")

    def _deliver(self, queue: str, handler: Handler) -> int:
        leases = self.ports.queue.receive(queue, 10, lease_s=queue_spec(queue).lease_s)
        for lease in leases:
            self.deliver(lease, handler)
        return len(leases)

    def deliver(self, lease: Lease, handler: Handler) -> bool:
        """As the host delivers a message: acked, or held back for a moment."""
        record = {
            "messageId": lease.message_id,
            "body": lease.body.decode(),
            "attributes": {"ApproximateReceiveCount": str(lease.attempts)},
        }
        answer = handler({"Records": [record]}, None)
        if answer["batchItemFailures"]:
            self.ports.queue.extend(lease, 1)
            return False
        self.ports.queue.ack(lease)
        return True
