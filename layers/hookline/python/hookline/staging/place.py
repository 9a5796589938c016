"""Where a process of the platform lays out files, and how it runs the user's code there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from hookline.core.models import Model
from hookline.core.neuroncores import MAX_CORES
from hookline.core.ports import Ports
from hookline.core.records import Serving
from hookline.runtime.spec import LaunchSpec, ServerSpec
from hookline.staging import devices
from hookline.staging.cache import CACHE_BYTES
from hookline.staging.stage import pipeline_spec, sandbox_spec


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """`run_dir` is one process's own; `cache_dir` is shared. User code never sees `hidden`.

    `cache_bytes` are those that fetched models may take.
    `threads` are those of one inference, 0 for one per core. The process that runs the user's code
    dies with `parent_pid`, if that is not 0.
    """

    run_dir: Path
    cache_dir: Path
    hidden: tuple[Path, ...]
    sandbox: str
    log_level: str
    trace_hooks: bool
    threads: int = 0
    parent_pid: int = 0
    cache_bytes: int = CACHE_BYTES
    dev: Path = Path("/dev")

    def launch_spec(
        self,
        ports: Ports,
        model: Model,
        serving: Serving,
        server: ServerSpec,
        *,
        max_processes: int = MAX_CORES,
        owner: str = "",
    ) -> LaunchSpec:
        """Stage the files here and say how to run them, in at most `max_processes` with devices.

        `owner` is the stream that the devices are for, if it is one. Raise what prevents it.
        """
        locks = self.cache_dir / "devices"
        places = devices.places(model, serving, locks, self.dev, owner=owner)
        staged = pipeline_spec(
            ports, model, serving, self.run_dir, self.cache_dir, cache_bytes=self.cache_bytes
        )
        pipeline = msgspec.structs.replace(
            staged, threads=self.threads, trace_hooks=self.trace_hooks
        )
        return LaunchSpec(
            pipeline=pipeline,
            server=server,
            sandbox=sandbox_spec(self.sandbox, self.hidden, pipeline, self.run_dir),
            parent_pid=self.parent_pid,
            places=places[:max_processes],
            log_level=self.log_level,
        )
