"""A stream's replica: stages its files, then becomes the process that runs the user's code.

Everything that needs the catalog happens before the exec; what runs after it has a clean
environment, no open files of the platform, and sees only its own folder.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from hookline.adapters.embedded.wiring import process_ports
from hookline.core.errors import HooklineError, NotFound
from hookline.core.ports import Ports
from hookline.core.records import Model, Stream
from hookline.local.orders import Order, parse
from hookline.local.stage import pipeline_spec, sandbox_spec
from hookline.runtime import spec as runtime_spec
from hookline.runtime.spec import LaunchSpec, ServerSpec

LOAD_FAILED = 3


def launch_spec(ports: Ports, order: Order) -> LaunchSpec:
    """Stage the stream's files and say how to run them. Raise the error that prevents it."""
    stream = ports.catalog.get(Stream, order.tenant, order.stream_id)
    if stream is None:
        raise NotFound.of("stream", order.stream_id)
    model = ports.catalog.get(Model, order.tenant, stream.model_id)
    if model is None:
        raise NotFound.of("model", stream.model_id)
    run_dir = Path(order.run_dir)
    staged = pipeline_spec(ports, model, stream.serving, run_dir, Path(order.home) / "cache")
    pipeline = msgspec.structs.replace(staged, trace_hooks=order.trace_hooks)
    return LaunchSpec(
        pipeline=pipeline,
        server=ServerSpec(
            unix_socket=str(run_dir / "replica.sock"),
            ready_file=str(run_dir / "ready"),
            failure_file=str(run_dir / "failure.json"),
        ),
        sandbox=sandbox_spec(order.sandbox, order.hidden, pipeline, run_dir),
        parent_pid=order.parent_pid,
        log_level=order.log_level,
    )


def clean_environment(run_dir: Path) -> dict[str, str]:
    """What the user's code may see of this machine's settings: nothing that is ours."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TZ") if name in os.environ}
    return {**kept, "HOME": str(run_dir), "TMPDIR": str(run_dir), "PYTHONUNBUFFERED": "1"}


def stage(order: Order) -> list[str]:
    """Lay out the stream's files and return the command that serves them."""
    launch = Path(order.run_dir) / "launch.json"
    runtime_spec.write(launch_spec(process_ports(Path(order.home)), order), launch)
    # -P: nothing is imported from the working folder, where user code may write
    return [sys.executable, "-P", "-m", "hookline.runtime.replica", str(launch)]


def main(argv: Sequence[str]) -> None:
    """Entry point: `python -m hookline.local.replica ORDER`. Exits 3 if staging failed."""
    order = parse(argv)
    run_dir = Path(order.run_dir)
    try:
        command = stage(order)
    except HooklineError as error:
        failure = {"code": error.code, "message": str(error), "trace": error.trace}
        (run_dir / "failure.json").write_bytes(msgspec.json.encode(failure))
        print(error, file=sys.stderr)  # noqa: T201 - the process's log
        sys.exit(LOAD_FAILED)
    os.execve(command[0], command, clean_environment(run_dir))  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main(sys.argv)
