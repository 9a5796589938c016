"""Several replicas on one port: each loads its own model, and the kernel shares out the clients.

A worker that dies is started again, after a pause that grows while it keeps dying. SIGTERM and
Ctrl-C drain them all. One whose model or hooks cannot be loaded ends the whole with its message.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import msgspec

from hookline.core.endings import EXIT_START_FAILED
from hookline.core.errors import BY_CODE, HooklineError
from hookline.runtime import lifecycle, logs
from hookline.runtime.devices import at_place
from hookline.runtime.listening import bound, url_of
from hookline.runtime.meters import Meters, shared
from hookline.runtime.replica import serve
from hookline.runtime.spec import LaunchSpec

log = logging.getLogger(__name__)

_STOPPED = 1
_READY = b"ready\n"
_TOLD = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_WATCHED = (signal.SIGCHLD, *_TOLD)
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 10.0
_LASTING_S = 30.0  # a worker that lived so long died of something new
_PIECE_BYTES = 65536


@dataclass(slots=True)
class _Worker:
    """One place among the workers, and who has it now. `pid` 0: nobody, until `starts_s`."""

    number: int
    meters: Meters
    pid: int = 0
    heard: int = -1
    said: bytes = b""
    began_s: float = 0.0
    starts_s: float = 0.0
    pause_s: float = _FIRST_PAUSE_S

    @property
    def is_ready(self) -> bool:
        return self.said.startswith(_READY)


def serve_workers(spec: LaunchSpec, count: int, on_ready: Callable[[str], None]) -> int:
    """Serve with `count` processes until SIGTERM or Ctrl-C; return the exit status.

    `on_ready` gets the URL once all of them answer. Raise the HooklineError that kept one of them
    from starting. Call it in the main thread.
    """
    logs.configure(spec.log_level)
    with bound(msgspec.structs.replace(spec.server, is_shared=True)) as place, _signals() as news:
        server = msgspec.structs.replace(
            spec.server, is_shared=True, ready_file="", failure_file=""
        )
        if spec.server.unix_socket:  # which only one may bind: all accept from the same socket
            server = msgspec.structs.replace(server, inherited=place.fileno())
        else:
            server = msgspec.structs.replace(server, port=place.getsockname()[1])
        threads = spec.pipeline.threads or max(1, len(os.sched_getaffinity(0)) // count)
        pipeline = msgspec.structs.replace(spec.pipeline, threads=threads)
        workers = _Workers(
            msgspec.structs.replace(spec, server=server, pipeline=pipeline, parent_pid=0),
            [_Worker(number, meters) for number, meters in enumerate(shared(count))],
            news,
        )
        return workers.run(lambda: on_ready(url_of(place)))


@contextlib.contextmanager
def _signals() -> Iterator[int]:
    """A descriptor that can be read after each signal, whose number it gives."""
    news, told = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    before = {number: signal.signal(number, lambda *_: None) for number in _WATCHED}
    old = signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    try:
        yield news
    finally:
        signal.set_wakeup_fd(old)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(news)
        os.close(told)


@dataclass(slots=True)
class _Workers:
    spec: LaunchSpec
    all: list[_Worker]
    news: int
    is_stopping: bool = False
    statuses: list[int] = field(default_factory=list)

    def run(self, on_ready: Callable[[], None]) -> int:
        is_told = False
        while not (self.is_stopping and not any(worker.pid for worker in self.all)):
            self._start_due()
            self._wait()
            self._reap()
            if not is_told and all(worker.is_ready for worker in self.all):
                is_told = True
                on_ready()
        return _STOPPED if any(self.statuses) else 0

    def _start_due(self) -> None:
        now_s = time.monotonic()
        for worker in self.all:
            if not worker.pid and worker.starts_s <= now_s and not self.is_stopping:
                self._start(worker)

    def _start(self, worker: _Worker) -> None:
        heard, told = os.pipe2(os.O_CLOEXEC)
        child = os.fork()
        if child == 0:
            _work_and_exit(at_place(self.spec, worker.number), told, worker.meters.again())
        os.close(told)
        os.set_blocking(heard, False)
        worker.pid, worker.heard, worker.said = child, heard, b""
        worker.began_s = time.monotonic()

    def _wait(self) -> None:
        """Until a worker says or does something, a signal comes, or one is to be started."""
        due_s = [worker.starts_s for worker in self.all if not worker.pid]
        left_s = None
        if due_s and not self.is_stopping:
            left_s = max(0.0, min(due_s) - time.monotonic())
        open_ends = [worker.heard for worker in self.all if worker.heard >= 0]
        readable, _, _ = select.select([self.news, *open_ends], [], [], left_s)
        for worker in self.all:
            if worker.heard in readable:
                self._listen(worker)
        if self.news in readable:
            for number in os.read(self.news, _PIECE_BYTES):
                if number in _TOLD:
                    self._stop(number)

    def _listen(self, worker: _Worker) -> None:
        piece = os.read(worker.heard, _PIECE_BYTES)
        worker.said += piece
        if not piece:
            os.close(worker.heard)
            worker.heard = -1

    def _stop(self, number: int) -> None:
        self.is_stopping = True
        for worker in self.all:
            if worker.pid:
                os.kill(worker.pid, number)

    def _reap(self) -> None:
        for worker in self.all:
            if not worker.pid:
                continue
            pid, status = os.waitpid(worker.pid, os.WNOHANG)
            if pid:
                self._bury(worker, os.waitstatus_to_exitcode(status))

    def _bury(self, worker: _Worker, status: int) -> None:
        with contextlib.suppress(BlockingIOError):  # what a hook left behind may hold the other end
            while worker.heard >= 0:
                self._listen(worker)
        if worker.heard >= 0:
            os.close(worker.heard)
            worker.heard = -1
        worker.pid = 0
        if self.is_stopping:
            self.statuses.append(status)
            return
        if status == EXIT_START_FAILED:
            self._end_all()
            raise _failure(worker.said)
        now_s = time.monotonic()
        if now_s - worker.began_s > _LASTING_S:
            worker.pause_s = _FIRST_PAUSE_S
        worker.starts_s = now_s + worker.pause_s
        extra = {"worker": worker.number, "status": status, "pause_s": worker.pause_s}
        log.error("worker_died", extra=extra)
        worker.pause_s = min(2 * worker.pause_s, _LONGEST_PAUSE_S)

    def _end_all(self) -> None:
        self._stop(signal.SIGTERM)
        for worker in self.all:
            if worker.pid:
                os.waitpid(worker.pid, 0)


def _work_and_exit(spec: LaunchSpec, told: int, meters: Meters) -> None:
    """Be a worker; never return."""
    status = EXIT_START_FAILED
    try:
        signal.set_wakeup_fd(-1)
        for number in _WATCHED:
            signal.signal(number, signal.SIG_DFL)
        lifecycle.kill_me_with_parent()
        status = serve(spec, lambda _: _say(told, _READY), meters)
    except HooklineError as error:
        failure = {"code": error.code, "what": error.what, "why": error.why}
        failure |= {"hint": error.hint, "trace": error.trace}
        _say(told, json.dumps(failure).encode())
    except BaseException:
        log.exception("worker_broken")
        status = _STOPPED
    finally:
        os._exit(status)


def _say(told: int, words: bytes) -> None:
    while words:
        words = words[os.write(told, words) :]


def _failure(said: bytes) -> HooklineError:
    text = json.loads(said.removeprefix(_READY))
    kind = BY_CODE.get(text["code"], HooklineError)
    return kind(text["what"], why=text["why"], hint=text["hint"], trace=text["trace"])
