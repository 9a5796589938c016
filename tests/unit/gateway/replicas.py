"""Tiny replicas on unix sockets: real HTTP, answers that tests choose."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

Answer = Callable[[bytes], Awaitable[bytes]]


@asynccontextmanager
async def replica(
    path: Path, answer: Answer, heads: list[bytes] | None = None
) -> AsyncIterator[str]:
    """A replica at `path`; yields its address. `answer` turns a body into a whole response.

    `heads` gets the heads of the requests.
    """

    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if task := asyncio.current_task():
            tasks.add(task)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                if heads is not None:
                    heads.append(head)
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                writer.write(await answer(await reader.readexactly(length)))
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_unix_server(serve, path)
    try:
        yield f"unix:{path}"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)
        await asyncio.sleep(0)  # closed transports end in the loop's next turn


def ok(body: bytes, **headers: str) -> bytes:
    """A whole response with that body."""
    more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    start = f"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n{more}"
    return f"{start}content-length: {len(body)}\r\n\r\n".encode() + body
