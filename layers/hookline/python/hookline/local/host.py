"""The process behind `hookline up`: HTTP server, functions, watcher and fleet in one."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import uvicorn

from hookline.adapters.embedded import wiring
from hookline.adapters.embedded.fleet import ProcessFleet
from hookline.adapters.embedded.signature import load_secret
from hookline.control.users import bootstrap
from hookline.core import profiles
from hookline.core.config import Config
from hookline.core.ports import Ports
from hookline.core.records import PLATFORM, Credential
from hookline.core.routes import Routes
from hookline.core.secrets import digest
from hookline.core.targets import Targets
from hookline.core.topology import RECONCILE
from hookline.gateway.kept import Kept
from hookline.gateway.proxy import Gateway
from hookline.gateway.reporter import Reporter
from hookline.gateway.routing import RoutingTable
from hookline.gateway.teller import Teller
from hookline.local import left_out
from hookline.local.app import App
from hookline.local.blob_routes import BlobRoutes
from hookline.local.bridge import handlers
from hookline.local.control_routes import ControlRoutes
from hookline.local.orders import Command
from hookline.local.pollers import Poller, pollers
from hookline.local.watch import Watcher, is_whole, landed_at
from hookline.runtime.asgi_server import server_config
from hookline.runtime.logs import configure

CONTROL_THREADS = 8
DRAIN_S = 30
NOTIFYING = ("volumes", "batches", "notify")  # they know what may be notified


FINISH_S = 10.0  # for predictions that nobody waits for
TENANT, ADMIN = "default", "admin"


@dataclass(frozen=True, slots=True)
class Background:
    """What runs beside the HTTP server."""

    pollers: Sequence[Poller]
    watcher: Watcher
    fleet: ProcessFleet

    def start(self) -> None:
        """Start everything; streams that should run are started again by the reconciler."""
        for poller in self.pollers:
            poller.start()
        self.watcher.start()

    def stop(self) -> None:
        """Stop taking work, then drain and end every process of the fleet."""
        self.watcher.stop(DRAIN_S)
        for poller in self.pollers:
            poller.stop(DRAIN_S)
        self.fleet.close()


def serve(config: Config, listener: socket.socket, on_ready: Callable[[str], None]) -> int:
    """Serve until SIGTERM or Ctrl-C, then drain. Only the main thread may call it.

    `on_ready` gets the endpoint once requests are answered.
    """
    configure(config.log_level)
    signal.signal(signal.SIGIO, signal.SIG_IGN)  # a writer may break the watcher's leases
    fleet = _fleet(config)
    ports = wiring.ports(config.home, fleet=fleet, chaos=config.chaos)
    wiring.release_leases(config.home)
    fleet.on_change = lambda: ports.queue.send(RECONCILE, [b"{}"])
    endpoint = endpoint_of(listener, config.host)
    _introduce(config, ports, endpoint)
    app = _app(config, ports, fleet, lambda: on_ready(endpoint))
    settings = server_config(app, DRAIN_S, has_lifespan=True)
    return _run(uvicorn.Server(settings), listener)


def endpoint_of(listener: socket.socket, host: str) -> str:
    """The URL of a listening socket."""
    return f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"


def _run(server: uvicorn.Server, listener: socket.socket) -> int:
    # uvicorn raises the signal that stopped it once more when it is done; ending well is enough.
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, lambda *_: None)
    server.run(sockets=[listener])
    return 0


def _fleet(config: Config) -> ProcessFleet:
    return ProcessFleet(config.home, Command(config))


def _app(config: Config, ports: Ports, fleet: ProcessFleet, on_ready: Callable[[], None]) -> App:
    workers = config.workers or os.cpu_count() or 1
    targets = Targets(networks=config.notify_networks)
    options: dict[str, dict[str, Any]] = {
        "reconcile": {"workers": workers},
        **{name: {"targets": targets} for name in NOTIFYING},
        "plan": {"left_out": left_out.count},
        "sweep": {"landed_at": landed_at, "is_whole": is_whole},
    }
    functions = handlers(ports, options)
    background = Background(pollers(functions, ports.queue), Watcher(ports), fleet)
    executor = ThreadPoolExecutor(CONTROL_THREADS, "control")
    teller = Teller(ports.catalog, ports.queue, ports.clock)
    kept = Kept(ports.blobs, ports.clock)
    gateway = Gateway(RoutingTable(ports.catalog), Reporter(teller), kept=kept)
    pulse: list[asyncio.Task[None]] = []

    async def start() -> None:
        background.start()
        pulse.append(asyncio.create_task(gateway.run()))
        on_ready()

    async def stop() -> None:
        for task in pulse:
            task.cancel()
        await gateway.finish(FINISH_S)
        gateway.close()
        await asyncio.to_thread(background.stop)
        executor.shutdown()

    return App(
        control=ControlRoutes(functions, executor, Routes()),
        gateway=gateway,
        blobs=BlobRoutes(wiring.blobs(config.home), load_secret(config.home / "secret")),
        host=config.host,
        on_start=start,
        on_stop=stop,
    )


def _introduce(config: Config, ports: Ports, endpoint: str) -> None:
    """Leave the endpoint and an admin key where the command line finds them."""
    key = profiles.stored_key(config)
    if not key or ports.catalog.get(Credential, PLATFORM, digest(key)) is None:
        key = bootstrap(ports, TENANT, ADMIN)
    profiles.save(config, config.profile, endpoint, key)
