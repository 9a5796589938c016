"""Small servers in a test's own loop, of which neither a task nor a connection is left."""

from __future__ import annotations

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Talk = Callable[[StreamReader, StreamWriter], Awaitable[None]]
Start = Callable[[Talk], Awaitable[asyncio.Server]]


@asynccontextmanager
async def listening(talk: Talk, start: Start) -> AsyncIterator[asyncio.Server]:
    """The server that `start` made; `talk` has each connection until it returns."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        if task := asyncio.current_task():
            tasks.add(task)
        try:
            await talk(reader, writer)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.transport.abort()

    server = await start(serve)
    try:
        yield server
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)
        await asyncio.sleep(0)  # closed transports end in the loop's next turn


async def request(reader: StreamReader) -> tuple[bytes, bytes]:
    """The head and the body of the next request."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return head, await reader.readexactly(length)
