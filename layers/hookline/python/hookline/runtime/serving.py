"""The life of a replica inside its sandbox: listen, load, be ready, drain.

The socket answers 503 from the first moment. Loading, warming up and every prediction happen in
one thread, since hooks may keep things that belong to a thread. SIGTERM and Ctrl-C drain: what
was sent is answered. A second one stops at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import logging
import math
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import uvicorn
import uvloop

from hookline.core.errors import BadRequest, Unavailable
from hookline.runtime import lifecycle
from hookline.runtime.batcher import Batcher, Run
from hookline.runtime.protocol import BoundedProtocol
from hookline.runtime.server import Application
from hookline.runtime.spec import LaunchSpec, PipelineSpec, ServerSpec

log = logging.getLogger(__name__)

EXIT_DRAINED, EXIT_STOPPED = 0, 1

_LAME_DUCK_S = 0.2  # what was on its way when the drain began still arrives
_LAST_WORDS_S = 0.5  # to send the answers of a drain that took too long
_STUCK_FACTOR = 2  # of the time that a request may take
_LOOKS = 8  # at a batch, until it counts as stuck
_STDERR = 2
_KEEP_ALIVE_S = 75  # longer than any client of ours keeps an idle connection
_BACKLOG = 2048
_LONGEST_SOCKET_PATH = 107  # sun_path of unix(7), less its final NUL


class Server(uvicorn.Server):
    """uvicorn without its own signal handlers, which end the process by the signal."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def serve_inside(spec: LaunchSpec, on_ready: Callable[[str], None]) -> int:
    """Serve until told to stop; return the exit status. Raise what kept it from starting."""
    with (
        listening(spec.server) as listener,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        return runner.run(_Serving(spec, on_ready, listener).run())


@contextlib.contextmanager
def listening(spec: ServerSpec) -> Iterator[socket.socket]:
    """The socket that `spec` names, open for connections. Raise Unavailable if it is taken."""
    try:
        listener = _unix(spec.unix_socket) if spec.unix_socket else _tcp(spec.host, spec.port)
    except OSError as error:
        place = spec.unix_socket or f"{spec.host}:{spec.port}"
        raise Unavailable(
            f"Cannot listen on {place}.", why=str(error), hint="Choose a free port with --port."
        ) from error
    with listener:
        listener.listen(_BACKLOG)
        listener.setblocking(False)
        yield listener


def _unix(path: str) -> socket.socket:
    if len(os.fsencode(path)) > _LONGEST_SOCKET_PATH:
        raise BadRequest(
            f"The path of the socket is too long: {path}",
            why=f"Linux takes at most {_LONGEST_SOCKET_PATH} bytes.",
            hint="Use a shorter home folder.",
        )
    Path(path).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    mask = os.umask(0o177)  # only this user may connect
    try:
        listener.bind(path)
    finally:
        os.umask(mask)
    return listener


def _unlink(spec: ServerSpec) -> None:
    if spec.unix_socket:
        Path(spec.unix_socket).unlink(missing_ok=True)


def _tcp(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family)


class _Serving:
    def __init__(
        self, spec: LaunchSpec, on_ready: Callable[[str], None], listener: socket.socket
    ) -> None:
        self._spec, self._on_ready, self._listener = spec, on_ready, listener
        self._url = _url(listener)
        self._application = Application(spec.server)
        self._server = Server(server_config(self._application, spec.server.drain_s))
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pipeline")
        self._stop = asyncio.Event()

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._told_to_stop)
        http = loop.create_task(self._server.serve([self._listener]))
        stop = loop.create_task(self._stop.wait())
        loading = loop.run_in_executor(self._thread, self._load)
        await asyncio.wait((loading, stop, http), return_when=asyncio.FIRST_COMPLETED)
        if not loading.done():
            _unlink(self._spec.server)
            _leave(EXIT_DRAINED, "stopped_while_loading")
        batcher = loading.result()
        self._be_ready(batcher)
        watch = loop.create_task(self._watch(batcher))
        await asyncio.wait((stop, http), return_when=asyncio.FIRST_COMPLETED)
        watch.cancel()
        faulthandler.cancel_dump_traceback_later()
        await self._drain(http, batcher)
        return EXIT_DRAINED

    async def _watch(self, batcher: Batcher) -> None:
        """End this process when a hook does not return long after everyone gave up on it.

        A hook that keeps even this loop from running, by holding the interpreter's lock, is ended
        by faulthandler, whose own thread needs no lock. Either way the log says where it hung.
        """
        stuck_s = _STUCK_FACTOR * self._spec.server.request_timeout_s
        while batcher.busy_s() < stuck_s:
            faulthandler.dump_traceback_later(stuck_s, exit=True, file=_STDERR)
            await asyncio.sleep(stuck_s / _LOOKS)
        faulthandler.dump_traceback(file=_STDERR)
        _leave(EXIT_STOPPED, "hook_stuck")

    def _told_to_stop(self) -> None:
        if self._stop.is_set():
            _leave(EXIT_STOPPED, "replica_stopped")
        self._stop.set()

    def _load(self) -> Batcher:
        run = _loaded(self._spec.pipeline)
        spec = self._spec.server
        return Batcher(
            run=run,
            executor=self._thread,
            max_batch_items=spec.max_batch_items,
            max_wait_s=spec.max_wait_ms / 1000,
            max_queue_items=spec.max_queue_items,
        )

    def _be_ready(self, batcher: Batcher) -> None:
        self._application.open(batcher)
        if self._spec.server.ready_file:
            lifecycle.write_whole(Path(self._spec.server.ready_file), self._url.encode())
        log.info("replica_ready", extra={"url": self._url})
        self._on_ready(self._url)

    async def _drain(self, http: asyncio.Task[None], batcher: Batcher) -> None:
        """Answer what was sent, within `drain_s`; a hook that never ends is left behind."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + self._spec.server.drain_s
        log.info("replica_draining")
        self._application.drain()
        _unlink(self._spec.server)  # no new connections; those waiting are still accepted
        await asyncio.sleep(_LAME_DUCK_S)
        self._server.should_exit = True
        await http
        left_s = max(_LAST_WORDS_S, deadline_s - loop.time())
        closing = loop.create_task(batcher.close())
        await asyncio.wait([closing], timeout=left_s)
        if not closing.done():
            _leave(EXIT_STOPPED, "drain_timed_out")
        log.info("replica_drained")


def _loaded(spec: PipelineSpec) -> Run:
    from hookline.runtime.pipeline import Pipeline  # noqa: PLC0415 - while the socket answers 503

    pipeline = Pipeline.load(spec)
    pipeline.warm_up()
    return pipeline.run


def _url(listener: socket.socket) -> str:
    address = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return f"unix:{address}"
    host = f"[{address[0]}]" if listener.family == socket.AF_INET6 else address[0]
    return f"http://{host}:{address[1]}"


def server_config(application: Callable[..., Awaitable[None]], drain_s: float) -> uvicorn.Config:
    """How every server of ours serves a socket that it is given."""
    return uvicorn.Config(
        application,
        interface="asgi3",
        http=BoundedProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=max(1, math.ceil(drain_s)),
    )


def _leave(status: int, event: str) -> None:
    """End now: a thread that runs a hook cannot be stopped, and a normal exit would join it."""
    log.warning(event)
    os._exit(status)
