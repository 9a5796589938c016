"""A batch worker: trusted code that leases shards; the user's code runs in its engine process."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hookline.adapters.embedded.wiring import process_ports
from hookline.batch.worker import Worker
from hookline.local.orders import parse
from hookline.runtime.lifecycle import die_with_parent, write_whole
from hookline.runtime.logs import configure
from hookline.staging.engines import Opener

ENGINE_THREADS = 1  # there is a worker per core


def main(argv: Sequence[str]) -> int:
    """Entry point: `python -m hookline.local.worker ORDER`. SIGTERM drains it."""
    order = parse(argv)
    die_with_parent(order.parent_pid)
    configure(order.log_level)
    draining = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: draining.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the host's; it drains its workers
    ports = process_ports(Path(order.home), chaos=order.chaos)
    place = replace(order.place, threads=ENGINE_THREADS)
    worker = Worker(ports, Opener(ports, place), draining=draining)
    write_whole(Path(order.run_dir) / "ready", b"")
    worker.run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
