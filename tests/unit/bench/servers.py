"""A small HTTP server whose answers tests choose."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

from hookline.bench.target import Target
from tests.listening import listening, request

Answer = Callable[[bytes], Awaitable[bytes]]
"""Makes a whole response of a request's body; b"" hangs up."""


@asynccontextmanager
async def answering(answer: Answer) -> AsyncIterator[Target]:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            _, body = await request(reader)
            if not (whole := await answer(body)):
                return
            for piece in whole.split(b"<pause>"):
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)

    start = partial(asyncio.start_server, host="127.0.0.1", port=0)
    async with listening(talk, start) as server:
        yield Target("127.0.0.1", server.sockets[0].getsockname()[1], "/predict")


def response(status: int = 200, body: bytes = b"ok", **headers: str) -> bytes:
    more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    start = f"HTTP/1.1 {status} X\r\n{more}Content-Length: {len(body)}\r\n\r\n"
    return start.encode() + body
