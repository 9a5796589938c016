"""Tiny replicas on unix sockets: real HTTP, answers that tests choose."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from tests.listening import listening, request

Answer = Callable[[bytes], Awaitable[bytes]]


@asynccontextmanager
async def replica(
    path: Path, answer: Answer, heads: list[bytes] | None = None
) -> AsyncIterator[str]:
    """A replica at `path`; yields its address. `answer` turns a body into a whole response.

    `heads` gets the heads of the requests.
    """

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head, body = await request(reader)
            if heads is not None:
                heads.append(head)
            writer.write(await answer(body))
            await writer.drain()

    async with listening(talk, partial(asyncio.start_unix_server, path=path)):
        yield f"unix:{path}"


def ok(body: bytes, **headers: str) -> bytes:
    """A whole response with that body."""
    more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    start = f"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n{more}"
    return f"{start}content-length: {len(body)}\r\n\r\n".encode() + body
