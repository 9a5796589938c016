"""Everything behind one address on this machine: control, predict and signed blobs."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from hookline.core.errors import BadRequest, Forbidden
from hookline.gateway.proxy import Gateway
from hookline.local.blob_routes import BlobRoutes
from hookline.local.control_routes import ControlRoutes
from hookline.runtime.asgi import (
    Receive,
    Scope,
    Send,
    at_the_edge,
    header,
    request_id,
    respond_json,
)

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]", "::1"})
_LOCAL_HOST = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:[0-9]{1,5})?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class App:
    """The ASGI application of `hookline up`. `on_start` and `on_stop` frame its life."""

    control: ControlRoutes
    gateway: Gateway
    blobs: BlobRoutes
    host: str
    on_start: Callable[[], Awaitable[None]]
    on_stop: Callable[[], Awaitable[None]]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection's request, or the server's own life cycle."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        await self.on_start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.on_stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = request_id(scope)
        await at_the_edge(self._route(scope, receive, send, request), send, request)

    async def _route(self, scope: Scope, receive: Receive, send: Send, request: str) -> None:
        self._check_host(header(scope, b"host"))
        self._check_origin(header(scope, b"origin"))
        if await self.gateway.answer(scope, receive, send, request):
            return
        path, method = scope["path"], scope["method"]
        if path.startswith("/blobs/"):
            await self.blobs.answer(scope, receive, send, request)
        elif (method, path) == ("GET", "/ping"):
            await respond_json(send, 200, {"status": "ok"})
        else:
            await self.control.answer(scope, receive, send, request)

    def _check_host(self, host: str) -> None:
        """Refuse names that a foreign web page could have pointed at this machine.

        DNS rebinding makes a browser call 127.0.0.1 under the attacker's own name.
        """
        if self.host in _LOOPBACK and not _LOCAL_HOST.fullmatch(host):
            raise BadRequest(
                f"This server does not answer for the host {host!r}.",
                why="It listens on this machine only.",
                hint="Call it as 127.0.0.1 or localhost.",
            )

    def _check_origin(self, origin: str) -> None:
        """Refuse what a foreign web page sends; programs send no Origin."""
        host = origin.partition("://")[2]
        if origin and self.host in _LOOPBACK and not _LOCAL_HOST.fullmatch(host):
            raise Forbidden(
                "Pages of other sites may not call this server.",
                why="The request has a foreign Origin header.",
                hint="Call it from a program, or from a page that this machine serves.",
            )
