"""A batch worker: trusted code that leases shards; the user's code runs in its engine process."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from hookline.adapters.embedded.wiring import process_ports
from hookline.adapters.machine.spawn import EngineProcess, spawn_engine
from hookline.batch.worker import Worker
from hookline.core.ports import Ports
from hookline.core.records import Job, Model
from hookline.local.orders import Order, parse
from hookline.local.stage import pipeline_spec, sandbox_spec
from hookline.runtime import spec as runtime_spec
from hookline.runtime.engine import EngineClient
from hookline.runtime.items import Item, Outcome
from hookline.runtime.lifecycle import die_with_parent, write_whole
from hookline.runtime.logs import configure
from hookline.runtime.spec import LaunchSpec

LOAD_TIMEOUT_S = 300.0
ENGINE_THREADS = 1  # there is a worker per core


@dataclass(frozen=True, slots=True)
class StagedEngine:
    """An engine process, and the folder that was laid out for it."""

    client: EngineClient
    process: EngineProcess
    run_dir: Path

    def run(self, items: Sequence[Item], timeout_s: float) -> list[Outcome]:
        """One outcome per item. Raise EngineDied when the process ends or hangs."""
        return self.client.run(items, timeout_s)

    def close(self) -> None:
        """End the process and remove its files."""
        self.client.close()
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.run_dir, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Opener:
    """Stages a job's model and hooks and starts an engine for them."""

    ports: Ports
    order: Order

    def __call__(self, job: Job, model: Model) -> StagedEngine:
        """Raise the HooklineError that keeps the user's model or hooks from loading."""
        run_dir = Path(tempfile.mkdtemp(prefix=f"job-{job.id}-", dir=self.order.run_dir))
        try:
            return self._started(run_dir, job, model)
        except BaseException:
            shutil.rmtree(run_dir, ignore_errors=True)
            raise

    def _started(self, run_dir: Path, job: Job, model: Model) -> StagedEngine:
        cache_dir = Path(self.order.home) / "cache"
        staged = pipeline_spec(self.ports, model, job.serving, run_dir, cache_dir)
        pipeline = msgspec.structs.replace(
            staged, threads=ENGINE_THREADS, trace_hooks=self.order.trace_hooks
        )
        spec = LaunchSpec(
            pipeline=pipeline,
            sandbox=sandbox_spec(self.order.sandbox, self.order.hidden, pipeline, run_dir),
            parent_pid=os.getpid(),
            log_level=self.order.log_level,
        )
        runtime_spec.write(spec, run_dir / "launch.json")
        connection, process = spawn_engine(run_dir / "launch.json")
        engine = StagedEngine(EngineClient(connection), process, run_dir)
        try:
            engine.client.wait_ready(LOAD_TIMEOUT_S)
        except BaseException:
            engine.close()
            raise
        return engine


def main(argv: Sequence[str]) -> int:
    """Entry point: `python -m hookline.local.worker ORDER`. SIGTERM drains it."""
    order = parse(argv)
    die_with_parent(order.parent_pid)
    configure(order.log_level)
    draining = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: draining.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the host's; it drains its workers
    ports = process_ports(Path(order.home), chaos=order.chaos)
    worker = Worker(ports, Opener(ports, order), draining=draining)
    write_whole(Path(order.run_dir) / "ready", b"")
    worker.run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
