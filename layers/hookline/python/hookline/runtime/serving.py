"""The life of a replica inside its sandbox: listen, load, be ready, drain.

The socket answers 503 from the first moment. Hooks are loaded, warmed up and run in one thread,
since they may keep things that belong to a thread; a model without hooks may run in several, and
in the event loop. SIGTERM and Ctrl-C drain: what was sent is answered. A second one stops at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import gc
import logging
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING

import uvloop

from hookline.core.errors import BadRequest
from hookline.runtime import lifecycle
from hookline.runtime.batcher import Batcher
from hookline.runtime.connection import Connection
from hookline.runtime.lane import Lane
from hookline.runtime.listening import listening, unlink, url_of
from hookline.runtime.meters import PUBLISH_S, Meters
from hookline.runtime.pace import Pace
from hookline.runtime.server import Application
from hookline.runtime.slo import Governor
from hookline.runtime.spec import LaunchSpec

if TYPE_CHECKING:
    from hookline.runtime.pipeline import Pipeline
    from hookline.runtime.rpc.server import RpcServer
    from hookline.runtime.service import Service
    from hookline.runtime.spec import ServerSpec

log = logging.getLogger(__name__)

EXIT_DRAINED, EXIT_STOPPED = 0, 1

_LAME_DUCK_S = 0.2  # what was on its way when the drain began still arrives
_LAST_WORDS_S = 0.5  # to send the answers of a drain that took too long
_STUCK_FACTOR = 2  # of the time that a request may take
_LOOKS = 8  # at a batch, until it counts as stuck
_STDERR = 2
_BACKLOG = 2048
_HOPS = 15


def serve_inside(
    spec: LaunchSpec, on_ready: Callable[[str], None], meters: Meters | None = None
) -> int:
    """Serve until told to stop; return the exit status. Raise what kept it from starting."""
    with (
        listening(spec.server) as listener,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        return runner.run(_Serving(spec, on_ready, listener, meters or Meters.alone()).run())


class _Serving:
    def __init__(
        self,
        spec: LaunchSpec,
        on_ready: Callable[[str], None],
        listener: socket.socket,
        meters: Meters,
    ) -> None:
        self._spec, self._on_ready, self._listener = spec, on_ready, listener
        self._url = url_of(listener)
        self._meters = meters
        self._application = Application(spec.server, meters=meters)
        self._rpc: RpcServer | None = None
        self._stop = asyncio.Event()

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._told_to_stop)
        server = await loop.create_server(
            lambda: Connection(self._application), sock=self._listener, backlog=_BACKLOG
        )
        if self._spec.server.grpc_port is not None:
            self._rpc = _rpc_server(self._spec.server)
            await self._rpc.start()
        stop = loop.create_task(self._stop.wait())
        lane = Lane("pipeline")
        loading = loop.create_task(lane.run(_loaded, self._spec))
        await asyncio.wait((loading, stop), return_when=asyncio.FIRST_COMPLETED)
        if not loading.done():
            unlink(self._spec.server)
            _leave(EXIT_DRAINED, "stopped_while_loading")
        pipeline, max_items = loading.result()
        batcher = await self._batcher(pipeline, max_items, lane)
        service = self._service(pipeline, batcher, max_items)
        self._be_ready(batcher, service)
        watch = loop.create_task(self._watch(batcher))
        telling = loop.create_task(self._publish())
        await stop
        watch.cancel()
        telling.cancel()
        faulthandler.cancel_dump_traceback_later()
        await self._drain(server, batcher)
        return EXIT_DRAINED

    async def _publish(self) -> None:
        while self._meters.has_company:
            self._meters.publish()
            await asyncio.sleep(PUBLISH_S)

    async def _watch(self, batcher: Batcher) -> None:
        """End this process when a hook does not return long after everyone gave up on it.

        A hook that keeps even this loop from running, by holding the interpreter's lock, is ended
        by faulthandler, whose own thread needs no lock; so is a model that hangs in the loop.
        Either way the log says where it hung.
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

    async def _batcher(self, pipeline: Pipeline, max_items: int, lane: Lane) -> Batcher:
        spec = self._spec.server
        is_canned, is_on_cpu = pipeline.is_canned, self._spec.pipeline.device == "cpu"
        pace = Pace(may_run_inline=is_canned and is_on_cpu)
        pace.measured_hop(await _hop_s(lane))
        more = _cores() - 1 if is_canned and is_on_cpu else 0
        return Batcher(
            pipeline.run,
            [lane, *(Lane(f"pipeline-{number}") for number in range(2, 2 + more))],
            pace,
            max_batch_items=max_items,
            max_wait_s=spec.max_wait_ms / 1000,
            max_queue_items=spec.max_queue_items,
            governor=Governor(spec.slo_p99_ms / 1000, max_items) if spec.slo_p99_ms else None,
        )

    def _service(self, pipeline: Pipeline, batcher: Batcher, max_items: int) -> Service:
        from hookline.runtime.service import Service  # noqa: PLC0415 - numpy, while loading

        return Service(pipeline.signature, batcher, self._spec.server.served, max_items)

    def _be_ready(self, batcher: Batcher, service: Service) -> None:
        from hookline.runtime.other_protocols import Protocols  # noqa: PLC0415 - as above

        gc.collect()
        gc.freeze()  # what is there now stays: no collection need look at it again
        self._application.open(batcher, Protocols(service))
        if self._rpc is not None:
            self._rpc.open(service)
        if self._spec.server.ready_file:
            lifecycle.write_whole(Path(self._spec.server.ready_file), self._url.encode())
        log.info("replica_ready", extra={"url": self._url})
        self._on_ready(self._url)

    async def _drain(self, server: asyncio.Server, batcher: Batcher) -> None:
        """Answer what was sent, within `drain_s`; a hook that never ends is left behind."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + self._spec.server.drain_s
        log.info("replica_draining")
        self._application.drain()
        unlink(self._spec.server)  # no new connections; those waiting are still accepted
        await asyncio.sleep(_LAME_DUCK_S)
        server.close()
        for connection in list(self._application.connections):
            connection.drain()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(deadline_s):
                await self._application.left_by_all()
        if self._rpc is not None:
            await self._rpc.stop(max(0.0, deadline_s - loop.time()))
        for connection in list(self._application.connections):
            connection.stop()
        left_s = max(_LAST_WORDS_S, deadline_s - loop.time())
        closing = loop.create_task(batcher.close())
        await asyncio.wait([closing], timeout=left_s)
        if not closing.done():
            _leave(EXIT_STOPPED, "drain_timed_out")
        self._meters.publish()
        log.info("replica_drained")


def _rpc_server(spec: ServerSpec) -> RpcServer:
    """Raise BadRequest where the extra is not installed, Unavailable where the port is taken."""
    try:
        from hookline.runtime.rpc.server import RpcServer  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("grpc", "google"):
            raise
        raise BadRequest(
            "hookline cannot speak gRPC: grpcio or protobuf is not installed.",
            hint="Install them with `pip install 'hookline[grpc]'`.",
        ) from error
    return RpcServer(spec)


def _loaded(spec: LaunchSpec) -> tuple[Pipeline, int]:
    """The pipeline, warm, and the largest batch that pays off."""
    # While the socket answers 503.
    from hookline.runtime.pipeline import Pipeline  # noqa: PLC0415 - as above

    pipeline = Pipeline.load(spec.pipeline)
    pipeline.warm_up()
    max_items = pipeline.worthwhile_items(spec.server.max_batch_items)
    log.info("batches_sized", extra={"max_items": max_items})
    return pipeline, max_items


async def _hop_s(lane: Lane) -> float:
    """What it takes to have something done in `lane`."""
    times_s = []
    for _ in range(_HOPS):
        began_s = perf_counter()
        await lane.run(int)
        times_s.append(perf_counter() - began_s)
    return median(times_s)


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _leave(status: int, event: str) -> None:
    """End now: a thread that runs a hook cannot be stopped, and a normal exit would join it."""
    log.warning(event)
    os._exit(status)
