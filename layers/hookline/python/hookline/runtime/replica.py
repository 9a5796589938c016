"""One replica of a stream: `python -m hookline.runtime.replica SPEC.json`.

It ends with status 0 after a drain, 1 when the drain took too long or a second signal came, and
3 when it could not start; `failure_file` then says why.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from hookline.core.endings import EXIT_START_FAILED, REPLICA_FAILED, told
from hookline.core.errors import HooklineError
from hookline.runtime import lifecycle
from hookline.runtime.launch import confined
from hookline.runtime.meters import Meters
from hookline.runtime.spec import LaunchSpec, ServerSpec, read

log = logging.getLogger(__name__)


def main(argv: Sequence[str]) -> int:
    """Serve what the spec file in `argv` describes; return the exit status."""
    (path,) = argv
    spec = read(Path(path))
    try:
        return _serve_everywhere(spec) if len(spec.places) > 1 else serve(spec)
    except HooklineError as error:
        _tell_failure(spec.server, error)
        return EXIT_START_FAILED


def _serve_everywhere(spec: LaunchSpec) -> int:
    """One process for each GPU or group of NeuronCores, all behind one socket."""
    from hookline.runtime.workers import serve_workers  # noqa: PLC0415 - it serves by this module

    def be_ready(url: str) -> None:
        if spec.server.ready_file:
            lifecycle.write_whole(Path(spec.server.ready_file), url.encode())

    lifecycle.die_with_parent(spec.parent_pid)
    return serve_workers(spec, len(spec.places), be_ready)


def serve(
    spec: LaunchSpec,
    on_ready: Callable[[str], None] | None = None,
    meters: Meters | None = None,
) -> int:
    """Serve in the foreground until SIGTERM or Ctrl-C; return the exit status.

    `on_ready` gets the URL once predictions are answered. Raise the HooklineError that kept the
    model, the hooks, the sandbox or the socket from starting.
    """
    inside = confined(spec)
    # Only now: its imports are large, and outer and init of the sandbox stay small without them.
    from hookline.runtime.serving import serve_inside  # noqa: PLC0415 - after the sandbox

    return serve_inside(inside, on_ready or (lambda _url: None), meters)


def _tell_failure(spec: ServerSpec, error: HooklineError) -> None:
    log.error(REPLICA_FAILED, extra=told(error))
    if spec.failure_file:
        failure = {"code": error.code, "message": str(error), "trace": error.trace}
        lifecycle.write_whole(Path(spec.failure_file), json.dumps(failure).encode())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
