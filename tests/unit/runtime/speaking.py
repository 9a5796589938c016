"""A model behind a replica's HTTP face, in this process, for tests of what it speaks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx2

from hookline.runtime.batcher import Batcher
from hookline.runtime.connection import Connection
from hookline.runtime.lane import Lane
from hookline.runtime.other_protocols import Protocols
from hookline.runtime.pace import Pace
from hookline.runtime.pipeline import Pipeline
from hookline.runtime.server import Application
from hookline.runtime.service import Service
from hookline.runtime.spec import PipelineSpec, ServedAs, ServerSpec

T = TypeVar("T")
SERVED = ServedAs(name="tiny", version="7", stream_id="23")


@contextlib.asynccontextmanager
async def speaking(
    model: Path, labels: tuple[str, ...] = (), **settings: Any
) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the model at `model`."""
    spec = ServerSpec(served=SERVED, **settings)
    pipeline = Pipeline.load(PipelineSpec(model_path=str(model), labels=labels))
    lane = Lane("test")
    pace = Pace(may_run_inline=True)
    batcher = Batcher(pipeline.run, [lane], pace, max_queue_items=spec.max_queue_items)
    application = Application(spec)
    protocols = Protocols(Service(pipeline.signature, batcher, SERVED, 8))
    application.open(batcher, protocols)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(application), "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        async with httpx2.AsyncClient(base_url=url, verify=False) as client:
            yield client
    finally:
        server.close()
        for connection in list(application.connections):
            connection.stop()
        await application.left_by_all()
        protocols.close()
        lane.close()


def told(model: Path, use: Callable[[httpx2.AsyncClient], Awaitable[T]], **settings: Any) -> T:
    """What `use` of a client of the model gives."""

    async def scenario() -> T:
        async with speaking(model, **settings) as client:
            return await use(client)

    return asyncio.run(scenario())


def asked(model: Path, method: str, path: str, **given: Any) -> httpx2.Response:
    """One answer; `settings` are the server's."""
    settings = given.pop("settings", {})
    return told(model, lambda client: client.request(method, path, **given), **settings)
