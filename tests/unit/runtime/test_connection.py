"""Requests as an attacker writes them, sent through a real socket to a real connection."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest

from hookline.core.errors import HooklineError, Overloaded, Unauthenticated
from hookline.runtime.connection import Connection, Limits
from hookline.runtime.exchange import Exchange
from tests.unit.runtime.raw_http import CHUNKED, COMPLETE, GET, HOST, LARGE_HEADS, POST, talk

Talk = Callable[..., Awaitable[bytes]]


class Echo:
    """Answers with the body; holds answers while `gate` is closed; refuses /refuse unread."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.is_draining = False
        self.gate = asyncio.Event()
        self.gate.set()
        self.clients: set[Connection] = set()
        self.admitted: list[Exchange] = []
        self.forgotten: list[Exchange] = []

    def enter(self, connection: Connection) -> None:
        self.clients.add(connection)
        if len(self.clients) > self.limits.connections:
            raise Overloaded("Too many.")

    def leave(self, connection: Connection) -> None:
        self.clients.discard(connection)

    def admit(self, exchange: Exchange) -> None:
        self.admitted.append(exchange)
        if exchange.url == b"/refuse":
            raise Unauthenticated("refused")

    def answer(self, exchange: Exchange) -> None:
        if self.gate.is_set():
            self._answer(exchange)
        else:
            waiting = asyncio.ensure_future(self.gate.wait())
            waiting.add_done_callback(lambda _: self._answer(exchange))

    def _answer(self, exchange: Exchange) -> None:
        body = exchange.body or exchange.headers.get(b"x-secret", b"empty")
        if body == b"huge":
            body = bytes(50_000_000)
        exchange.connection.send(exchange, b"x-kind: echo\r\n", body)

    def refuse(self, exchange: Exchange, error: HooklineError) -> None:
        exchange.connection.respond(exchange, error.status, [], error.code.encode())

    def expire(self, exchange: Exchange) -> None:
        exchange.connection.respond(exchange, 504, [], b"expired")

    def forget(self, exchange: Exchange) -> None:
        self.forgotten.append(exchange)


@asynccontextmanager
async def server(**limits: Any) -> AsyncIterator[tuple[Echo, Talk]]:
    """Yields `talk(*pieces)`: everything the server says until it closes or stays silent."""
    echo = Echo(Limits(**limits))
    listener = await asyncio.get_running_loop().create_server(
        lambda: Connection(echo), "127.0.0.1", 0
    )
    port = listener.sockets[0].getsockname()[1]

    try:
        yield echo, partial(talk, port, silence_s=0.3)
    finally:
        listener.close()
        for client in list(echo.clients):
            client.stop()


async def until(is_true: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not is_true():  # noqa: ASYNC110 - a test may look inside
            await asyncio.sleep(0.001)


def said(*pieces: bytes, silence_s: float = 0.3, **limits: Any) -> bytes:
    async def go() -> bytes:
        async with server(**limits) as (_, talk):
            return await talk(*pieces, silence_s=silence_s)

    return asyncio.run(go())


def test_a_plain_request_is_answered_and_its_connection_kept() -> None:
    answer = said(POST + b"Content-Length: 5\r\n\r\nhello")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\ndate: ")
    assert b"\r\nx-kind: echo\r\n" in answer
    assert b"\r\ncontent-length: 5\r\n" in answer
    assert answer.endswith(b"\r\n\r\nhello<open>")


@pytest.mark.parametrize(
    "head",
    [
        POST + b"Connection: close\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n",
    ],
)
def test_a_connection_that_is_not_to_be_kept_is_closed(head: bytes) -> None:
    answer = said(head + b"ok")
    assert b"\r\nconnection: close\r\n" in answer
    assert answer.endswith(b"ok")


@pytest.mark.parametrize(
    "pieces",
    [*LARGE_HEADS.values(), [CHUNKED + b"0\r\n" + b"X: a\r\n" * 10_000]],
    ids=[*LARGE_HEADS, "10,000 trailers"],
)
def test_a_head_that_is_too_large_is_refused(pieces: list[bytes]) -> None:
    answer = said(*pieces, silence_s=2.0, linger_s=0.1)
    assert answer == b"<reset>" or answer.startswith(b"HTTP/1.1 431 ")
    assert not answer.endswith(b"<open>")


@pytest.mark.parametrize("name", [b"Host", b"Authorization", b"Content-Type", b"Content-Length"])
def test_a_header_that_can_be_read_two_ways_is_refused(name: bytes) -> None:
    answer = said(POST + name + b": 1\r\n" + name.lower() + b": 2\r\n\r\n", linger_s=0.1)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.endswith(b"bad_request")


@pytest.mark.parametrize(
    "request_",
    [
        POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
        POST + b"Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd",
        POST + b"Content-Length: 4, 4\r\n\r\nabcd",
        POST + b"Content-Length: +4\r\n\r\nabcd",
        POST + b"Content-Length: -4\r\n\r\nabcd",
        POST + b"Content-Length: 0x4\r\n\r\nabcd",
        POST + b"Content-Length : 4\r\n\r\nabcd",
        POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: identity\r\nContent-Length: 4\r\n\r\nabcd",
        POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        CHUNKED + b"0x1\r\na\r\n0\r\n\r\n",
        CHUNKED + b"-1\r\na\r\n0\r\n\r\n",
        CHUNKED + b"FFFFFFFFFFFFFFFFF\r\na\r\n0\r\n\r\n",
        CHUNKED + b"1\r\nab\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\nHost: x\nContent-Length: 4\n\nabcd",
        POST + b"X: a\x00b\r\n\r\n",
        b"POST / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_what_two_servers_could_read_differently_is_refused(request_: bytes) -> None:
    answer = said(request_, linger_s=0.1, silence_s=2.0)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1
    assert not answer.endswith(b"<open>")


def test_garbage_after_a_request_costs_it_no_answer() -> None:
    async def go() -> bytes:
        async with server(linger_s=0.1) as (echo, talk):
            echo.gate.clear()
            talking = asyncio.ensure_future(
                talk(POST + b"Content-Length: 2\r\n\r\nokGARBAGE\r\n\r\n", silence_s=2.0)
            )
            await until(lambda: echo.admitted)
            echo.gate.set()
            return await talking

    answer = asyncio.run(go())
    assert answer.index(b"ok") < answer.index(b"HTTP/1.1 400 ")


def test_trailers_do_not_become_headers() -> None:
    answer = said(CHUNKED + b"0\r\nX-Secret: smuggled\r\n\r\n")
    assert answer.endswith(b"empty<open>")


def test_a_body_in_many_small_chunks_is_read() -> None:
    answer = said(CHUNKED, *[b"1\r\na\r\n" * 10_000] * 5, b"0\r\n\r\n", silence_s=2.0)
    assert answer.count(b"a" * 50_000) == 1


def test_a_head_that_does_not_come_ends_the_connection() -> None:
    assert said(b"", silence_s=2.0, head_s=0.1) == b""
    assert b" 408 " in said(b"GET / HT", silence_s=2.0, head_s=0.1, linger_s=0.1)
    for begun in (b"GET / HT", b"\r\n"):
        answer = said(COMPLETE, begun, silence_s=2.0, head_s=0.1, linger_s=0.1)
        assert answer.count(b"HTTP/1.1") == 2
        assert b" 408 " in answer
    ahead = said(COMPLETE[:-2] + b"\r\nGET", silence_s=2.0, head_s=0.1, linger_s=0.1)
    assert b" 408 " in ahead


def test_an_idle_connection_is_closed_without_a_word() -> None:
    answer = said(COMPLETE, silence_s=5.0, idle_s=0.1)
    assert answer.count(b"HTTP/1.1") == 1
    assert answer.endswith(b"empty")


def test_a_body_that_stops_arriving_is_not_awaited_for_ever() -> None:
    answer = said(
        POST + b"Content-Length: 5\r\n\r\nab", silence_s=5.0, body_silence_s=0.1, linger_s=0.1
    )
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert not answer.endswith(b"<open>")


def test_a_body_over_the_limit_is_refused() -> None:
    head = POST + b"Content-Length: 5\r\n\r\n"
    assert b" 413 " in said(head + b"abcde", body_bytes=4)


def test_the_rest_of_a_refused_body_is_not_awaited() -> None:
    refused = b"POST /refuse HTTP/1.1\r\n" + HOST + b"Content-Length: 1000\r\n\r\nab"
    assert said(refused, silence_s=2.0, linger_s=0.1).endswith(b"unauthenticated")


def test_a_refused_body_that_comes_whole_keeps_the_connection() -> None:
    refused = b"POST /refuse HTTP/1.1\r\n" + HOST + b"Content-Length: 4\r\n\r\nab"
    answer = said(refused, b"cd", POST + b"Content-Length: 2\r\n\r\nok")
    assert answer.endswith(b"ok<open>")


def test_a_client_that_waits_for_leave_to_send_gets_it() -> None:
    head = POST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    answer = said(head)
    assert answer == b"HTTP/1.1 100 Continue\r\n\r\n<open>"
    assert said(head + b"ok").endswith(b"ok<open>")


def test_a_client_that_is_refused_gets_no_leave_to_send() -> None:
    head = (
        b"POST /refuse HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    )
    answer = said(head)
    assert answer.startswith(b"HTTP/1.1 401 ")


def test_an_upgrade_is_not_taken_and_the_connection_closed() -> None:
    answer = said(GET + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"empty")


def test_pipelined_requests_are_answered_in_order() -> None:
    bodies = [b"%03d" % number for number in range(300)]
    answer = said(b"".join(POST + b"Content-Length: 3\r\n\r\n" + body for body in bodies))
    assert answer.count(b"HTTP/1.1 200") == len(bodies)
    places = [answer.index(b"\r\n\r\n" + body) for body in bodies]
    assert places == sorted(places)


def test_what_is_sent_ahead_waits_in_the_socket() -> None:
    async def go() -> int:
        async with server() as (echo, talk):
            echo.gate.clear()
            rest = b"Content-Length: 1000000\r\n\r\n" + bytes(1_000_000)
            last = POST + b"Connection: close\r\n" + rest  # the end is heard, not a silence
            asked = [*[POST + rest] * 29, last]
            talking = asyncio.ensure_future(talk(*asked, silence_s=60.0))
            await asyncio.sleep(0.3)
            held = len(echo.admitted)
            echo.gate.set()
            assert (await talking).count(b"HTTP/1.1 200") == 30
            return held

    assert asyncio.run(go()) <= 3


def test_a_client_too_many_is_told_so() -> None:
    async def go() -> bytes:
        async with server(connections=1, linger_s=0.1) as (echo, talk):
            first = asyncio.ensure_future(talk(b"", silence_s=2.0))
            await until(lambda: echo.clients)
            answer = await talk(b"", silence_s=1.0)
            first.cancel()
            return answer

    answer = asyncio.run(go())
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert not answer.endswith(b"<open>")


def test_what_is_said_while_the_process_stands_still_is_heard() -> None:
    async def go() -> bytes:
        async with server() as (echo, talk):
            echo.gate.clear()
            asked = POST + b"Content-Length: 2\r\n\r\nok"
            answer = asyncio.ensure_future(talk(asked, silence_s=0.2))
            await until(lambda: echo.admitted)
            echo.gate.set()
            time.sleep(0.3)  # noqa: ASYNC251 - as on a machine that has no time for this process
            return await answer

    assert asyncio.run(go()).endswith(b"ok<open>")


def test_a_client_that_does_not_read_is_cut_off() -> None:
    async def go() -> None:
        async with server(unread_s=0.1) as (echo, talk):
            echo.gate.clear()
            huge = POST + b"Content-Length: 4\r\n\r\nhuge"
            deaf = asyncio.ensure_future(talk(huge, is_deaf=True))
            await until(lambda: echo.admitted)
            echo.gate.set()
            await until(lambda: not echo.clients)
            deaf.cancel()

    asyncio.run(go())


def test_who_is_gone_is_forgotten_once() -> None:
    async def go() -> tuple[int, int]:
        async with server() as (echo, talk):
            echo.gate.clear()
            await talk(POST + b"Content-Length: 2\r\n\r\nok", silence_s=0.1)
            await until(lambda: not echo.clients)
            echo.gate.set()
            return len(echo.admitted), len(echo.forgotten)

    assert asyncio.run(go()) == (1, 1)


def test_a_request_that_takes_too_long_expires_and_the_next_is_answered() -> None:
    async def go() -> bytes:
        async with server(request_s=0.1) as (echo, talk):
            echo.gate.clear()
            one = POST + b"Content-Length: 2\r\n\r\n"
            talking = asyncio.ensure_future(talk(one + b"ok", silence_s=1.0))
            answer = await talking
            echo.gate.set()
            return answer + await talk(one + b"ok")

    answer = asyncio.run(go())
    assert answer.startswith(b"HTTP/1.1 504 ")
    assert answer.endswith(b"ok<open>")
