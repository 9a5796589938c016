"""How servers of ours other than replicas serve an ASGI application: uvicorn, with our limits."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Awaitable, Callable, Iterator

import uvicorn

from hookline.runtime.protocol import BoundedProtocol

_KEEP_ALIVE_S = 75  # longer than any client of ours keeps an idle connection
_BACKLOG = 2048


class Server(uvicorn.Server):
    """uvicorn without its own signal handlers, which end the process by the signal."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def server_config(
    application: Callable[..., Awaitable[None]], drain_s: float, *, has_lifespan: bool = False
) -> uvicorn.Config:
    """How a socket that is given is served. `has_lifespan`: it is told of the start and the end."""
    return uvicorn.Config(
        application,
        interface="asgi3",
        http=BoundedProtocol,
        ws="none",
        lifespan="on" if has_lifespan else "off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=max(1, math.ceil(drain_s)),
    )
