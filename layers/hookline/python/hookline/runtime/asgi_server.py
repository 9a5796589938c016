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


def server_config(application: Callable[..., Awaitable[None]], drain_s: float) -> uvicorn.Config:
    """How a socket that is given is served."""
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
