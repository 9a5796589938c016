"""The whole batch engine on ports that fail: a host and two workers, started again when killed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from hookline.adapters.embedded import wiring
from hookline.batch.worker import Worker
from hookline.control import outbox
from hookline.core.errors import HooklineError
from hookline.core.records import Job
from tests.fakes import FakeClock, FakeFleet
from tests.invariants import check_shards
from tests.unit.batch.faulty import Fault, Killed, Mode
from tests.unit.batch.world import LEASE_S, TENANT, World
from tests.unit.control.events import Plane

WHO = {"tenant": TENANT, "user": "ada", "role": "admin"}
KEY = "idempotency-key"
CREATED = 201


class Cloud:
    """A control plane, a planner, a finisher and two workers on faulty ports.

    Who is killed is started again.
    """

    def __init__(self, home: Path, files: Mapping[str, bytes], faults: Mapping[int, Mode]) -> None:
        clock = FakeClock()
        self.clean = World(wiring.ports(home, fleet=FakeFleet(clock), clock=clock), clock)
        self.clean.volume(files)
        self.clean.model()
        self.fault = Fault(faults, clock)
        self.world = World(self.fault.on(self.clean.ports), clock)
        self.plane = Plane(self.world.ports)
        self.engines = [World(self.clean.ports, clock).engine for _ in range(2)]
        self.workers = [self._hired(n) for n in range(2)]

    def settle(self) -> Job:
        for _ in range(200):
            moved = sum([self.plan(), self.work(0), self.work(1), self.finish()])
            check_shards(self.clean.ports, self.clean.job())
            if not moved and self.clean.job().has_ended:
                return self.clean.job()
            if not moved:
                self.clean.clock.advance(LEASE_S)
                self._polled(self._sweep)
        raise AssertionError(f"The job hangs: {self.clean.job()!r}")

    def asked(self, target: str, body: Mapping[str, object]) -> int:
        """The id of the job that a client gets, who asks until there is an answer."""
        for _ in range(5):
            try:
                answer = self.plane("POST", target, body, who=WHO, headers={KEY: target})
            except Killed:
                continue
            if answer.status == CREATED:
                return int(answer.body["id"])
        raise AssertionError(f"No answer: {answer}")

    def close(self) -> None:
        for worker in self.workers:
            worker.close()

    def _hired(self, n: int) -> Worker:
        self.engines[n].is_open = False
        return Worker(self.world.ports, self.engines[n].open, draining=self.world.draining)

    def plan(self) -> int:
        return self._polled(self.world.plan)

    def finish(self) -> int:
        return self._polled(self.world.finish)

    def work(self, n: int) -> int:
        """One step of worker `n`, who is replaced when it is killed."""
        try:
            return int(self.workers[n].step())
        except Killed:
            self.workers[n].close()
            self.workers[n] = self._hired(n)
            return 1

    def _sweep(self) -> int:
        """As the reconciler does: what a host left behind is sent."""
        outbox.sweep(self.world.ports)
        return 0

    def _polled(self, deliver: Callable[[], int]) -> int:
        try:
            return deliver()
        except (Killed, HooklineError):  # the host is started again, or polls again
            return 1
