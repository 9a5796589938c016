"""The process in which a batch worker runs user code: `python -m hookline.runtime.engine SPEC FD`.

It inherits one end of a socket pair as descriptor FD and answers batches on it until the other
end closes. A hook that crashes takes this process along, never the worker.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from hookline.core.errors import HooklineError, TooLarge
from hookline.runtime import frames
from hookline.runtime.items import Item, Outcome
from hookline.runtime.launch import confined
from hookline.runtime.spec import LaunchSpec, read

log = logging.getLogger(__name__)

EXIT_DONE, EXIT_LOAD_FAILED = 0, 3

_OUT_OF_REACH = 200  # hooks may close or reuse low descriptors
_ITEM_BYTES = 1024  # more than an item needs beside its body and names


class EngineDied(Exception):
    """The engine ended, hung or spoke nonsense during a call; start another one."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class EngineClient:
    """The worker's side of one engine. After EngineDied it is of no more use."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._number = 0

    def wait_ready(self, timeout_s: float) -> None:
        """Return once the pipeline is loaded; raise the HooklineError that prevented it."""
        try:
            hello = frames.receive(self._socket, frames.Hello, timeout_s=timeout_s)
        except frames.Closed as error:
            raise EngineDied(str(error)) from error
        if hello.failure is not None:
            raise hello.failure.error()

    def run(self, items: Sequence[Item], timeout_s: float) -> list[Outcome]:
        """One outcome per item, in order. Raise TooLarge for a batch that fits into no frame."""
        size_bytes = sum(len(item.body) + len(item.name) + _ITEM_BYTES for item in items)
        if size_bytes > frames.MAX_FRAME_BYTES:
            raise TooLarge(f"A batch of {size_bytes} bytes is too large.", hint="Run fewer files.")
        self._number += 1
        try:
            return self._exchange(frames.Request(self._number, list(items)), timeout_s)
        except frames.Closed as error:
            raise EngineDied(str(error)) from error

    def _exchange(self, request: frames.Request, timeout_s: float) -> list[Outcome]:
        frames.send(self._socket, request, timeout_s=timeout_s)
        reply = frames.receive(self._socket, frames.Reply, timeout_s=timeout_s)
        if (reply.number, len(reply.rows)) != (request.number, len(request.items)):
            raise frames.Closed("It answered another question.")
        return [row.outcome() for row in reply.rows]

    def close(self) -> None:
        """Let the engine end."""
        self._socket.close()


def main(argv: Sequence[str]) -> int:
    """Load the pipeline of the spec file and answer until the worker hangs up."""
    path, descriptor = argv
    sock = _own_socket(int(descriptor))
    _send_prints_to_stderr()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the worker's business
    spec = read(Path(path))
    try:
        _answer_all(sock, confined(spec))
    except frames.Closed as error:
        log.debug("worker_gone", extra={"why": str(error)})
    except HooklineError as error:
        _tell_failure(sock, error)
        return EXIT_LOAD_FAILED
    return EXIT_DONE


def _own_socket(descriptor: int) -> socket.socket:
    high = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _OUT_OF_REACH)
    os.close(descriptor)
    return socket.socket(fileno=high)


def _send_prints_to_stderr() -> None:
    """Prints of hooks belong into the log, wherever stdout leads."""
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())


def _tell_failure(sock: socket.socket, error: HooklineError) -> None:
    log.error("engine_failed", extra={"code": error.code, "trace": error.trace})
    with contextlib.suppress(frames.Closed):
        frames.send(sock, frames.Hello(frames.Fault.of(error)))


def _answer_all(sock: socket.socket, spec: LaunchSpec) -> None:
    """Raise Closed when the worker hangs up, HooklineError when the pipeline does not load."""
    from hookline.runtime.pipeline import Pipeline  # noqa: PLC0415 - after the sandbox

    pipeline = Pipeline.load(spec.pipeline)
    pipeline.warm_up()
    frames.send(sock, frames.Hello())
    while True:
        request = frames.receive(sock, frames.Request)
        rows = frames.fitting(pipeline.run(request.items))
        frames.send(sock, frames.Reply(request.number, rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
