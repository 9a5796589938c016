"""`hookline up` and `hookline down`: the whole cloud as one process and its children."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hookline.core import profiles
from hookline.core.config import Config
from hookline.core.errors import (
    BadRequest,
    Conflict,
    DeadlineExceeded,
    HooklineError,
    Unavailable,
    from_problem,
    problem,
)
from hookline.local.lock import HomeLock

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 60.0
POLL_S = 0.02
BACKLOG = 1024
LOG_TAIL_LINES = 20
MAX_NEWS_BYTES = 60 * 1024  # what a pipe takes and gives at once
MARKER = "catalog.db"  # what every home holds once it has been used
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def run(config: Config, *, detach: bool = False) -> int:
    """Run the cloud until SIGTERM or Ctrl-C; detached, return when it is ready."""
    if detach:
        return _run_in_background(config)
    return _run(config, lambda endpoint: _say(f"hookline is up at {endpoint}. Ctrl-C stops it."))


def down(config: Config, *, purge: bool = False) -> int:
    """Stop the cloud of this home and wait for its end; `purge` also removes its data."""
    pid = HomeLock.holder(config.home)
    if pid is not None:
        _stop(config.home, pid)
        _say(f"hookline is down (process {pid} has ended).")
    elif not purge:
        raise Conflict(
            f"No hookline runs in {config.home}.",
            hint="Start it with `hookline up`, or name its folder with --home.",
        )
    if purge:
        _purge(config)
    return 0


def _run(config: Config, on_ready: Callable[[str], None]) -> int:
    from hookline.local.host import serve  # noqa: PLC0415 - loads the whole product

    with HomeLock.taken(config.home):
        if config.host not in _LOOPBACK:
            _say(f"hookline listens on {config.host}: others on the network can reach it.")
        return serve(config, _listen(config), on_ready)


def _listen(config: Config) -> socket.socket:
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((config.host, config.port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise Unavailable(
            f"hookline cannot listen on {config.host}:{config.port}.",
            why=f"{error.strerror}.",
            hint="Choose another port with --port, or 0 for any free one.",
        ) from error
    return listener


def _run_in_background(config: Config) -> int:
    """Fork before anything heavy is loaded; the child says through a pipe when it is ready."""
    config.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    log = config.home / "host.log"
    news, teller = os.pipe()
    interrupts = {signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, interrupts)  # until the child's number is known
    pid = os.fork()
    if pid == 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, interrupts)
        os.close(news)
        os._exit(_be_the_daemon(config, log, teller))
    os.close(teller)
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, interrupts)
        endpoint = _first_news(news, pid, log)
    except KeyboardInterrupt:
        os.kill(pid, signal.SIGTERM)  # nobody would know of it
        raise
    _say(f"hookline is up at {endpoint} (process {pid}, log {log}).")
    print(endpoint)  # noqa: T201 - the command's data
    return 0


def _be_the_daemon(config: Config, log: Path, teller: int) -> int:
    os.setsid()
    with log.open("ab") as output, Path(os.devnull).open("rb") as nothing:
        for stream, number in ((nothing, 0), (output, 1), (output, 2)):
            os.dup2(stream.fileno(), number)
    try:
        return _run(config, lambda endpoint: _tell(teller, {"endpoint": endpoint}))
    except HooklineError as error:
        _tell(teller, {"problem": problem(error, request_id="")})
        return 1


def _tell(teller: int, news: dict[str, Any]) -> None:
    os.write(teller, json.dumps(news).encode())
    os.close(teller)


def _first_news(news: int, pid: int, log: Path) -> str:
    """The endpoint, once the child has told it. Raise what it told instead."""
    readable, _, _ = select.select([news], [], [], START_TIMEOUT_S)
    text = os.read(news, MAX_NEWS_BYTES) if readable else b""
    os.close(news)
    told = json.loads(text) if text else {}
    if "endpoint" in told:
        return str(told["endpoint"])
    if "problem" in told:
        raise from_problem(told["problem"])
    if not readable:
        os.kill(pid, signal.SIGTERM)
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:])
    raise Unavailable(
        "hookline did not start.",
        why=f"It ended or hung; the last lines of {log} are:\n{tail}",
    )


def _stop(home: Path, pid: int) -> None:
    os.kill(pid, signal.SIGTERM)
    until = time.monotonic() + STOP_TIMEOUT_S
    while HomeLock.holder(home) == pid:
        if time.monotonic() > until:
            raise DeadlineExceeded(
                f"hookline (process {pid}) is still draining after {STOP_TIMEOUT_S:.0f} s.",
                hint=f"Wait, or end it with `kill -9 {pid}`; nothing acknowledged is lost.",
            )
        time.sleep(POLL_S)


def _purge(config: Config) -> None:
    """Remove the data, and the profile that led to it."""
    home = config.home
    if not home.exists():
        _say(f"There is nothing to remove at {home}.")
        return
    if not (home / MARKER).is_file():
        raise BadRequest(
            f"{home} is not removed.",
            why="It does not look like a folder that hookline made.",
            hint="Delete it yourself if nothing in it is needed.",
        )
    shutil.rmtree(home)
    profiles.forget(config)
    _say(f"Removed {home}.")


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)  # noqa: T201 - the command's message
