"""Starts what is measured, as a user would: the command line in a subprocess, then HTTP."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.machine import COMMAND, ROOT

START_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Server:
    """A process that answers POST /predict on 127.0.0.1:`port`."""

    pid: int
    port: int
    token: str = ""


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def started(
    command: Sequence[str], environ: Mapping[str, str] = os.environ, log: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `command` for the length of the block, then SIGTERM it and wait.

    Each has a session of its own, as a replica has: Linux shares the cores out among sessions
    (sched_autogroup), and on a busy machine what shares the caller's would seem three times faster.
    """
    with (log or Path(os.devnull)).open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environ,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=START_TIMEOUT_S)


def wait_until_listening(port: int, process: subprocess.Popen[bytes]) -> None:
    """Return when 127.0.0.1:`port` accepts; give up when `process` ends."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.005)
    raise SystemExit(f"nothing listens on {port}")


def wait_for(url: str, process: subprocess.Popen[bytes], poll_s: float = 0.01) -> None:
    """Return when `url` answers anything that is not 503; give up when `process` ends."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except urllib.error.HTTPError as error:
            if error.code != 503:
                return
        except OSError:
            pass
        time.sleep(poll_s)
    raise SystemExit(f"{url} never answered")


@contextmanager
def serve(model: Path, folder: Path, *flags: str) -> Iterator[Server]:
    """`hookline serve` on one process, auth on, with `flags` alone; its log in `folder`."""
    port, log = free_port(), folder / "serve.log"
    command = [COMMAND, "serve", str(model), "--port", str(port), *flags]
    with started(command, log=log) as process:
        yield Server(process.pid, port, _token_in(log, process))


def _token_in(log: Path, process: subprocess.Popen[bytes]) -> str:
    """The token that `hookline serve` prints once it is ready."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        found = re.search(r"Authorization: Bearer ([^']+)'.*/predict", log.read_text())
        if found:
            return found[1]
        time.sleep(0.005)
    raise SystemExit(f"hookline serve did not start:\n{log.read_text()}")
