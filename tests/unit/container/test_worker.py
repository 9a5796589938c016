from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from hookline.adapters.aws.task import OwnTask
from hookline.batch.worker import Worker
from hookline.container.layout import whole_cpus
from hookline.container.worker import Crew
from hookline.core.ports import Lease, Ports, Queue
from tests.unit.batch.world import refuse


class Broken:
    """A queue that fails in a way that nobody expects, once `is_due`."""

    def __init__(self, queue: Queue, is_due: Callable[[], bool]) -> None:
        self._queue, self._is_due = queue, is_due

    def receive(self, queue: str, limit: int, *, lease_s: int) -> list[Lease]:
        if self._is_due():
            raise ZeroDivisionError
        return list(self._queue.receive(queue, limit, lease_s=lease_s))


def test_workers_that_drain_are_not_broken(ports: Ports) -> None:
    draining = threading.Event()
    draining.set()
    crew = Crew([Worker(ports, refuse, draining=draining) for _ in range(3)], draining)
    crew.start()
    crew.join()

    assert not crew.is_broken


def test_a_worker_that_breaks_drains_the_others(ports: Ports) -> None:
    draining, has_looked = threading.Event(), threading.Event()

    def after_the_others() -> bool:
        return has_looked.wait(20)

    def look() -> bool:
        has_looked.set()
        return False

    workers = [
        Worker(replace(ports, queue=Broken(ports.queue, due)), refuse, draining=draining)  # type: ignore[arg-type]  # the part of the port that is used
        for due in (after_the_others, look)
    ]
    crew = Crew(workers, draining)
    crew.start()
    crew.join()

    assert crew.is_broken
    assert draining.is_set()


@pytest.mark.parametrize(("cpus", "most"), [(0.25, 1), (1.0, 1), (1000.0, None), (0.0, None)])
def test_a_task_keeps_its_own_cpus_busy_and_no_more_than_there_are(
    cpus: float, most: int | None
) -> None:
    machine = whole_cpus(None)

    assert machine >= 1
    assert whole_cpus(OwnTask("arn", "main", cpus)) == (most or machine)
