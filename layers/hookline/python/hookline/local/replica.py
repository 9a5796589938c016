"""A stream's replica: stages its files, then becomes the process that runs the user's code."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from hookline.adapters.embedded.wiring import process_ports
from hookline.core.endings import EXIT_START_FAILED
from hookline.core.errors import HooklineError
from hookline.local.orders import Order, parse
from hookline.runtime.spec import ServerSpec
from hookline.staging import replicas


def stage(order: Order) -> list[str]:
    """Lay out the stream's files and return the command that serves them."""
    run_dir = Path(order.run_dir)
    server = ServerSpec(
        unix_socket=str(run_dir / "replica.sock"),
        ready_file=str(run_dir / "ready"),
        failure_file=str(run_dir / "failure.json"),
    )
    ports = process_ports(Path(order.home))
    return replicas.stage(ports, order.tenant, order.group, order.place, server)


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
        sys.exit(EXIT_START_FAILED)
    replicas.become(command, run_dir)


if __name__ == "__main__":
    main(sys.argv)
