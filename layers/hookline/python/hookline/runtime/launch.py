"""What every runtime process does first: log, tie itself to its parent, enter the sandbox."""

from __future__ import annotations

import io
import logging
import sys
from pathlib import Path

import msgspec

from hookline.runtime import devices, lifecycle, logs, sandbox
from hookline.runtime.spec import LaunchSpec, SandboxSpec

log = logging.getLogger(__name__)


def confined(spec: LaunchSpec) -> LaunchSpec:
    """Confine this process as `spec` says; return the spec as it holds inside.

    Call it before numpy or user code is imported. What the process itself reads and writes stays
    reachable wherever it lies. Raise Unavailable where the sandbox is demanded and refused.
    """
    spec = devices.at_its_place(spec)
    lifecycle.die_with_parent(spec.parent_pid)
    logs.configure(spec.log_level)
    _show_prints_at_once()
    level, code_dir = sandbox.enter(_with_own_paths(spec), spec.pipeline.code_dir)
    if level == "none":
        log.warning("sandbox_missing", extra={"hint": "User namespaces are refused here."})
    pipeline = msgspec.structs.replace(spec.pipeline, code_dir=code_dir)
    return msgspec.structs.replace(spec, pipeline=pipeline)


def _show_prints_at_once() -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True, errors="backslashreplace")


def _with_own_paths(spec: LaunchSpec) -> SandboxSpec:
    server, pipeline = spec.server, spec.pipeline
    written = (server.unix_socket, server.ready_file, server.failure_file)
    folders = {str(Path(path).absolute().parent) for path in written if path}
    return msgspec.structs.replace(
        spec.sandbox,
        show=(*spec.sandbox.show, pipeline.model_path, *pipeline.site_dirs),
        writable=(*spec.sandbox.writable, *sorted(folders)),
    )
