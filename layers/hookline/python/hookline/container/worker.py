"""The batch worker of a tenant: a shard in hand for each CPU, its hooks in an engine of their own.

SIGTERM drains it: no shard is taken any more, and one in hand is given back between two files.
"""

from __future__ import annotations

import logging
import signal
import threading

from hookline.adapters.aws import wiring
from hookline.adapters.aws.clients import Clients
from hookline.adapters.aws.settings import AwsSettings
from hookline.adapters.aws.task import OwnTask
from hookline.batch.inputs import Inputs
from hookline.batch.worker import Worker
from hookline.container.layout import place_in, whole_cpus
from hookline.staging.cache import GB
from hookline.staging.engines import Opener

log = logging.getLogger(__name__)

ENGINE_THREADS = 1  # there is an engine per CPU
EXIT_DRAINED, EXIT_BROKEN = 0, 1

_LOOK_S = 0.5  # a signal is handled between two looks


class Crew:
    """Workers in threads: what costs time runs in their engines, which are processes.

    The kernel ties an engine to the thread that started it, and each thread outlives its engines.
    """

    def __init__(self, workers: list[Worker], draining: threading.Event) -> None:
        self._draining, self.is_broken = draining, False
        self._threads = [
            threading.Thread(target=self._work, args=(worker,), name=f"worker-{number}")
            for number, worker in enumerate(workers)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Wait until every worker has drained."""
        for thread in self._threads:
            while thread.is_alive():
                thread.join(_LOOK_S)

    def _work(self, worker: Worker) -> None:
        try:
            worker.run()
        except Exception:  # the edge of this thread: the others drain, and ECS starts a new task
            log.exception("worker_broken")
            self.is_broken = True
            self._draining.set()


def run(settings: AwsSettings, task: OwnTask | None) -> int:
    """Work until SIGTERM; return the exit status."""
    draining = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: draining.set())
    ports = wiring.ports(settings, Clients())
    place = place_in(settings, threads=ENGINE_THREADS)
    opener = Opener(ports, place)
    inputs = Inputs(place.run_dir / "inputs", settings.process.input_cache_gb * GB)
    count = settings.process.workers or whole_cpus(task)
    workers = [Worker(ports, opener, draining=draining, inputs=inputs) for _ in range(count)]
    crew = Crew(workers, draining)
    crew.start()
    log.info("worker_ready", extra={"workers": count})
    crew.join()
    log.info("worker_drained")
    return EXIT_BROKEN if crew.is_broken else EXIT_DRAINED
