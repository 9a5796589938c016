"""Requests written by hand to a real socket, and all that is said to them."""

from __future__ import annotations

import asyncio

HOST = b"Host: localhost\r\n"
GET = b"GET / HTTP/1.1\r\n" + HOST
POST = b"POST / HTTP/1.1\r\n" + HOST
COMPLETE = GET + b"\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

TURNS = 50
"""Of the loop, after any silence: a process that stood still hears late what was said in time."""

LARGE_HEADS = {
    "one large header": [GET + b"X: " + b"a" * 1_000_000 + b"\r\n\r\n"],
    "10,000 headers": [GET + b"X: a\r\n" * 10_000 + b"\r\n"],
    "a header without end": [GET + b"X: ", *[b"a" * 100_000] * 50],
    "a path without end": [b"GET /", *[b"a" * 100_000] * 50],
    "a long path": [b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n"],
    "a chunk extension without end": [CHUNKED + b"1;", *[b"a" * 100_000] * 50],
    "a trailer without end": [CHUNKED + b"0\r\nX: ", *[b"a" * 100_000] * 50],
}


async def talk(port: int, *pieces: bytes, silence_s: float, is_deaf: bool = False) -> bytes:
    """Everything a server says until it closes or stays silent; each COMPLETE is awaited."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    heard = b""
    try:
        for piece in pieces:
            writer.write(piece)
            if piece == COMPLETE:
                heard = await reader.readuntil(b"empty")
        if is_deaf:
            await asyncio.sleep(3600)
        return heard + await _said(reader, silence_s)
    except ConnectionError:
        return b"<reset>"
    finally:
        writer.close()


async def _said(reader: asyncio.StreamReader, silence_s: float) -> bytes:
    said = b""
    while True:
        reading = asyncio.ensure_future(reader.read(1 << 20))
        await asyncio.wait([reading], timeout=silence_s)
        for _ in range(TURNS):
            await asyncio.sleep(0)
        if not reading.done():
            reading.cancel()
            return said + b"<open>"
        data = reading.result()
        if not data:
            return said
        said += data
