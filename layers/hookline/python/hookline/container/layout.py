"""Where a process in a container lays out files, and how much of the machine is its own."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import mkdtemp

from hookline.adapters.aws.settings import AwsSettings
from hookline.adapters.aws.task import OwnTask
from hookline.staging.cache import GB
from hookline.staging.place import Place


def place_in(settings: AwsSettings, *, threads: int) -> Place:
    """A run folder of its own below the home of this container."""
    process = settings.process
    runs = process.home / "run"
    runs.mkdir(mode=0o700, parents=True, exist_ok=True)
    person = Path.home()
    return Place(
        run_dir=Path(mkdtemp(dir=runs)),
        cache_dir=process.home / "cache",
        hidden=(process.home,) if person == Path("/") else (process.home, person),
        sandbox=process.sandbox,
        log_level=settings.log_level,
        trace_hooks=process.trace_hooks,
        threads=threads,
        cache_bytes=process.cache_gb * GB,
    )


def whole_cpus(task: OwnTask | None) -> int:
    """How many CPUs this container may keep busy: those of the task, at most the machine's."""
    machine = len(os.sched_getaffinity(0))
    return max(1, min(machine, int(task.cpus))) if task and task.cpus else machine
