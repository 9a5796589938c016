"""Requests as an attacker writes them, sent through a real socket to a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial

import pytest
import uvicorn

from hookline.runtime import protocol
from hookline.runtime.asgi import (
    ClientGone,
    Receive,
    Scope,
    Send,
    header,
    read_body,
    respond,
    unless_gone,
    until_gone,
)
from hookline.runtime.protocol import BoundedProtocol
from tests.unit.runtime.raw_http import CHUNKED, COMPLETE, HOST, LARGE_HEADS, POST, talk

Talk = Callable[..., Awaitable[bytes]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the body, or refuses without reading it."""
    if scope["path"] == "/refuse":
        await respond(send, 413, [], b"refused")
        return
    body = await read_body(scope, receive, 10_000_000)
    await respond(send, 200, [], body or header(scope, b"x-secret").encode() or b"empty")


@asynccontextmanager
async def listening(application: Application) -> AsyncIterator[int]:
    """A real server of `application`; yields its port."""
    config = uvicorn.Config(
        application, http=BoundedProtocol, ws="none", lifespan="off", log_config=None
    )
    running = uvicorn.Server(config)
    config.load()
    running.lifespan = config.lifespan_class(config)
    listener = await asyncio.get_running_loop().create_server(
        lambda: BoundedProtocol(config, running.server_state, {}), "127.0.0.1", 0
    )
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()


@asynccontextmanager
async def server() -> AsyncIterator[Talk]:
    """Yields `talk(*pieces)`: everything the server says until it closes or stays silent."""
    async with listening(app) as port:
        yield partial(talk, port)


def said(*pieces: bytes, silence_s: float = 0.3) -> bytes:
    async def go() -> bytes:
        async with server() as talk:
            return await talk(*pieces, silence_s=silence_s)

    return asyncio.run(go())


def test_a_plain_request_is_answered_and_its_connection_kept() -> None:
    answer = said(POST + b"Content-Length: 5\r\n\r\nhello")
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"hello<open>")


@pytest.mark.parametrize("pieces", LARGE_HEADS.values(), ids=LARGE_HEADS)
def test_a_head_that_is_too_large_is_refused(pieces: list[bytes]) -> None:
    answer = said(*pieces, silence_s=2.0)
    assert answer == b"<reset>" or answer.startswith(b"HTTP/1.1 400")
    assert not answer.endswith(b"<open>")


@pytest.mark.parametrize("name", [b"Host", b"Authorization", b"Content-Type"])
def test_a_header_that_can_be_read_two_ways_is_refused(name: bytes) -> None:
    answer = said(POST + name + b": a\r\n" + name.lower() + b": b\r\nContent-Length: 0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400")


def test_trailers_do_not_become_headers() -> None:
    answer = said(CHUNKED + b"0\r\nX-Secret: smuggled\r\n\r\n")
    assert answer.endswith(b"empty<open>")


def test_a_body_in_many_small_chunks_is_read() -> None:
    answer = said(CHUNKED, *[b"1\r\na\r\n" * 10_000] * 5, b"0\r\n\r\n", silence_s=2.0)
    assert answer.count(b"a" * 50_000) == 1


def test_a_head_that_does_not_come_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_TIMEOUT_S", 0.1)
    assert said(b"GET / HT", silence_s=2.0) == b""
    assert said(b"", silence_s=2.0) == b""
    for begun in (b"GET / HT", b"\r\n"):
        assert said(COMPLETE, begun, silence_s=2.0).endswith(b"empty")


def test_the_rest_of_a_refused_body_is_not_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "LINGER_S", 0.1)
    refused = b"POST /refuse HTTP/1.1\r\n" + HOST + b"Content-Length: 1000\r\n\r\nab"
    assert said(refused, silence_s=2.0).endswith(b"refused")


def test_a_refused_body_that_comes_whole_keeps_the_connection() -> None:
    refused = b"POST /refuse HTTP/1.1\r\n" + HOST + b"Content-Length: 4\r\n\r\nab"
    answer = said(refused, b"cd", POST + b"Content-Length: 2\r\n\r\nok")
    assert answer.endswith(b"ok<open>")


def test_pipelined_requests_are_answered_in_order() -> None:
    bodies = [b"%03d" % number for number in range(300)]
    answer = said(b"".join(POST + b"Content-Length: 3\r\n\r\n" + body for body in bodies))
    assert answer.count(b"HTTP/1.1 200") == len(bodies)
    places = [answer.index(b"\r\n\r\n" + body) for body in bodies]
    assert places == sorted(places)


@pytest.mark.parametrize("leaves_early", [False, True], ids=["while it works", "before it works"])
def test_work_ends_when_its_caller_leaves(*, leaves_early: bool) -> None:
    async def go() -> None:
        begun, ended = asyncio.Event(), asyncio.Event()
        did: list[str] = []

        async def work() -> None:
            did.append("work")
            begun.set()
            await asyncio.Event().wait()

        async def slow(scope: Scope, receive: Receive, _: Send) -> None:
            await read_body(scope, receive, 100)
            if leaves_early:
                begun.set()
                await until_gone(receive)
            try:
                await unless_gone(work(), scope, receive)
            except ClientGone:
                did.append("gone")
            finally:
                ended.set()

        async with listening(slow) as port, asyncio.timeout(10):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(COMPLETE)
            await begun.wait()
            writer.close()
            await ended.wait()
        assert did == (["gone"] if leaves_early else ["work", "gone"])

    asyncio.run(go())


def test_who_leaves_takes_only_the_own_request_along() -> None:
    async def go() -> None:
        gate, both = asyncio.Event(), asyncio.Barrier(3)

        async def work() -> bytes:
            await both.wait()
            await gate.wait()
            return b"done"

        async def slow(scope: Scope, receive: Receive, send: Send) -> None:
            await read_body(scope, receive, 100)
            with suppress(ClientGone):
                await respond(send, 200, [], await unless_gone(work(), scope, receive))
                return
            gate.set()

        async with listening(slow) as port:
            _, leaver = await asyncio.open_connection("127.0.0.1", port)
            reader, stayer = await asyncio.open_connection("127.0.0.1", port)
            for writer in (leaver, stayer):
                writer.write(COMPLETE)
            await both.wait()
            leaver.close()
            async with asyncio.timeout(5):
                assert (await reader.readuntil(b"done")).endswith(b"done")
            stayer.write(COMPLETE)  # its connection goes on
            await asyncio.gather(both.wait(), both.wait())
            async with asyncio.timeout(5):
                assert (await reader.readuntil(b"done")).endswith(b"done")
            stayer.close()

    asyncio.run(go())
