"""What the image runs: `python -m hookline.container gateway|stream|worker`."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from importlib import import_module

from hookline.adapters.aws.settings import from_environment
from hookline.adapters.aws.task import own_task
from hookline.core.endings import EXIT_START_FAILED, EXIT_TRY_AGAIN, REPLICA_FAILED, told
from hookline.core.errors import HooklineError, Transient
from hookline.runtime.logs import configure

log = logging.getLogger(__name__)

# What each says when it cannot start. The fleet reads that of a stream's replica.
FAILED = {"gateway": "gateway_failed", "stream": REPLICA_FAILED, "worker": "worker_failed"}
EXIT_USAGE = 2


def main(argv: Sequence[str]) -> int:
    """Be the process that `argv` names, until SIGTERM; return the exit status."""
    if len(argv) != 1 or argv[0] not in FAILED:
        print(_usage(argv), file=sys.stderr)  # noqa: T201 - no log yet
        return EXIT_USAGE
    [kind] = argv
    configure("INFO")
    try:
        settings = from_environment()
        configure(settings.log_level)
        status: int = import_module(f"hookline.container.{kind}").run(settings, own_task())
    except HooklineError as error:
        log.error(FAILED[kind], extra=told(error))  # noqa: TRY400 - it is a sentence already
        # ECS starts another task in any case. This one says whether that may help.
        return EXIT_TRY_AGAIN if isinstance(error, Transient) else EXIT_START_FAILED
    return status


def _usage(argv: Sequence[str]) -> str:
    return f"The process to be is one of {', '.join(FAILED)}, not '{' '.join(argv)}'."


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
