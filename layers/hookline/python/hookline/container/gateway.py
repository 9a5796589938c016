"""The entrance of a tenant's predict calls, behind the load balancer."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket

import uvloop

from hookline.adapters.aws import wiring
from hookline.adapters.aws.clients import Clients
from hookline.adapters.aws.settings import AwsSettings
from hookline.adapters.aws.task import OwnTask
from hookline.core.errors import NotFound, NotReady
from hookline.gateway.emf import print_emf
from hookline.gateway.kept import Kept
from hookline.gateway.proxy import Gateway
from hookline.gateway.reporter import Reporter
from hookline.gateway.routing import RoutingTable
from hookline.gateway.teller import Teller
from hookline.runtime.asgi import (
    Message,
    Receive,
    Scope,
    Send,
    at_the_edge,
    request_id,
    respond_json,
)
from hookline.runtime.asgi_server import Server, server_config
from hookline.runtime.listening import listening
from hookline.runtime.spec import ServerSpec

log = logging.getLogger(__name__)

DRAIN_S = 90.0  # more than a replica takes to answer; ECS kills a task 120 s after asking it to end
FINISH_S = 20.0  # for predictions that nobody waits for; after the drain
LAME_DUCK_S = 5.0  # what was on its way when the drain began still arrives

_HANG_UP = (b"connection", b"close")


class Application:
    """GET /ping and the routes of the gateway. While draining it serves and hangs up."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._is_draining = False

    def drain(self) -> None:
        """Look unready and close every connection after its answer, but answer."""
        self._is_draining = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever happens."""

        async def hang_up(message: Message) -> None:
            if self._is_draining and message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], _HANG_UP]
            await send(message)

        request = request_id(scope)
        await at_the_edge(self._route(scope, receive, hang_up, request), hang_up, request)

    async def _route(self, scope: Scope, receive: Receive, send: Send, request: str) -> None:
        if await self._gateway.answer(scope, receive, send, request):
            return
        if (scope["method"], scope["path"]) != ("GET", "/ping"):
            raise NotFound("There is nothing at this path.", hint="Post to /predict.")
        if self._is_draining:
            raise NotReady("This gateway is draining.", hint="Ask again in a moment.")
        await respond_json(send, 200, {"status": "ready"})


def run(settings: AwsSettings, _task: OwnTask | None) -> int:
    """Serve until SIGTERM and everything that was sent is answered; return the exit status."""
    ports = wiring.ports(settings, Clients())
    teller = Teller(ports.catalog, ports.queue, ports.clock)
    gateway = Gateway(
        RoutingTable(ports.catalog),
        Reporter(teller, print_emf),
        kept=Kept(ports.blobs, ports.clock),
    )
    spec = ServerSpec(host=settings.process.host, port=settings.process.port)
    with (
        listening(spec) as listener,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(_serve(gateway, listener))
    return 0


async def _serve(gateway: Gateway, listener: socket.socket) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    application = Application(gateway)
    server = Server(server_config(application, DRAIN_S))
    pulse = loop.create_task(gateway.run())
    http, stopping = loop.create_task(server.serve([listener])), loop.create_task(stop.wait())
    log.info("gateway_ready", extra={"port": listener.getsockname()[1]})
    await asyncio.wait((stopping, http), return_when=asyncio.FIRST_COMPLETED)
    log.info("gateway_draining")
    application.drain()
    await asyncio.sleep(LAME_DUCK_S)
    server.should_exit = True
    await http
    await gateway.finish(FINISH_S)
    pulse.cancel()
    gateway.close()
    log.info("gateway_drained")
