"""From the record of a job to an engine: the process that runs the user's code for a worker."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hookline.adapters.machine.spawn import EngineProcess, spawn_engine
from hookline.core.models import Model
from hookline.core.ports import Ports
from hookline.core.records import Job
from hookline.runtime import spec as runtime_spec
from hookline.runtime.engine import EngineClient
from hookline.runtime.items import Item, Outcome
from hookline.runtime.spec import ServerSpec
from hookline.staging.place import Place

LOAD_TIMEOUT_S = 300.0


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
    """Stages a job's model and hooks in a folder of their own and starts an engine for them."""

    ports: Ports
    place: Place

    def __call__(self, job: Job, model: Model) -> StagedEngine:
        """Raise the HooklineError that keeps the user's model or hooks from loading."""
        run_dir = Path(tempfile.mkdtemp(prefix=f"job-{job.id}-", dir=self.place.run_dir))
        try:
            return self._started(run_dir, job, model)
        except BaseException:
            shutil.rmtree(run_dir, ignore_errors=True)
            raise

    def _started(self, run_dir: Path, job: Job, model: Model) -> StagedEngine:
        place = replace(self.place, run_dir=run_dir, parent_pid=os.getpid())
        spec = place.launch_spec(self.ports, model, job.serving, ServerSpec(), max_processes=1)
        runtime_spec.write(spec, run_dir / "launch.json")
        connection, process = spawn_engine(run_dir / "launch.json")
        engine = StagedEngine(EngineClient(connection), process, run_dir)
        try:
            engine.client.wait_ready(LOAD_TIMEOUT_S)
        except BaseException:
            engine.close()
            raise
        return engine
