from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from hookline.core.errors import DeadlineExceeded, InvalidOutput, Unavailable
from hookline.gateway import upstream as module
from hookline.gateway.upstream import NotSent, Upstream
from tests.unit.gateway.replicas import ok, replica


async def echo(body: bytes) -> bytes:
    return ok(b"echo " + body)


def test_a_request_is_answered_and_its_connection_kept(tmp_path: Path) -> None:
    async def go() -> None:
        async with replica(tmp_path / "s", echo) as address:
            upstream = Upstream(address)
            for text in (b"a", b"b"):
                response = await upstream.ask(
                    b"POST", b"/predict", [(b"content-type", b"x/y")], text
                )
                assert (response.status, response.body) == (200, b"echo " + text)
                assert (b"content-type", b"text/plain") in response.headers
            assert len(upstream._idle) == 1
            assert upstream.in_flight == 0
            upstream.close()

    asyncio.run(go())


def test_a_replica_that_is_not_there_has_not_seen_the_request(tmp_path: Path) -> None:
    async def go() -> None:
        upstream = Upstream(f"unix:{tmp_path}/nobody")
        with pytest.raises(NotSent):
            await upstream.ask(b"POST", b"/predict", [], b"x")
        assert upstream.in_flight == 0

    asyncio.run(go())


def test_a_replica_that_dies_while_predicting_is_unavailable(tmp_path: Path) -> None:
    async def die(_body: bytes) -> bytes:
        raise ConnectionResetError

    async def go() -> None:
        async with replica(tmp_path / "s", die) as address:
            with pytest.raises(Unavailable, match="went away"):
                await Upstream(address).ask(b"POST", b"/predict", [], b"x")

    asyncio.run(go())


def test_a_cancelled_request_closes_its_connection(tmp_path: Path) -> None:
    async def go() -> None:
        started = asyncio.Event()

        async def hang(_body: bytes) -> bytes:
            started.set()
            await asyncio.Event().wait()
            return b""

        async with replica(tmp_path / "s", hang) as address:
            upstream = Upstream(address)
            work = asyncio.create_task(upstream.ask(b"POST", b"/predict", [], b"x"))
            await started.wait()
            work.cancel()
            with pytest.raises(asyncio.CancelledError):
                await work
            assert upstream._idle == []
            assert upstream.in_flight == 0

    asyncio.run(go())


def test_a_replica_that_falls_silent_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def sleep(_body: bytes) -> bytes:
        await asyncio.sleep(60)
        return b""

    async def go() -> None:
        monkeypatch.setattr(module, "ANSWER_TIMEOUT_S", 0.05)
        async with replica(tmp_path / "s", sleep) as address:
            silent = Upstream(address)
            with pytest.raises(DeadlineExceeded, match="does not answer"):
                await silent.ask(b"POST", b"/predict", [], b"x")
            assert silent.in_flight == 0

    asyncio.run(go())


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nf4240\r\n",
        b"HTTP/1.1 200 OK\r\nx-endless: ",
    ],
)
def test_an_endless_answer_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, head: bytes
) -> None:
    async def endless(_body: bytes) -> bytes:
        return head + b"x" * 1_000_000

    async def go() -> None:
        monkeypatch.setattr(module, "MAX_ANSWER_BYTES", 500_000)
        async with replica(tmp_path / "s", endless) as address:
            with pytest.raises(InvalidOutput, match="too large"):
                await Upstream(address).ask(b"POST", b"/predict", [], b"x")

    asyncio.run(go())


@pytest.mark.parametrize("status", [b"100 Continue", b"199 Odd", b"600 Odd", b"999 Odd"])
def test_a_status_that_is_no_answer_is_refused(tmp_path: Path, status: bytes) -> None:
    async def odd(_body: bytes) -> bytes:
        return b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\n\r\n"

    async def go() -> None:
        async with replica(tmp_path / "s", odd) as address:
            with pytest.raises(InvalidOutput, match="status"):
                await Upstream(address).ask(b"POST", b"/predict", [], b"x")

    asyncio.run(go())


def test_what_a_replica_says_unasked_reaches_no_later_caller(tmp_path: Path) -> None:
    async def twice(body: bytes) -> bytes:
        return ok(b"echo " + body) + ok(b"forged")

    async def go() -> None:
        async with replica(tmp_path / "s", twice) as address:
            talkative = Upstream(address)
            for text in (b"a", b"b"):
                response = await talkative.ask(b"POST", b"/predict", [], text)
                assert response.body == b"echo " + text
            talkative.close()

    asyncio.run(go())


def test_what_a_replica_says_to_nobody_ends_the_connection(tmp_path: Path) -> None:
    async def go() -> None:
        gossip, hung_up = asyncio.Event(), asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\nx")
            writer.write(ok(b"asked for"))
            await gossip.wait()
            writer.write(ok(b"forged"))
            assert not await reader.read()
            writer.close()
            await writer.wait_closed()
            hung_up.set()

        path = tmp_path / "s"
        async with await asyncio.start_unix_server(serve, path), asyncio.timeout(10):
            talkative = Upstream(f"unix:{path}")
            for _ in range(2):
                response = await talkative.ask(b"POST", b"/predict", [], b"x")
                assert response.body == b"asked for"
                gossip.set()
                await hung_up.wait()
                gossip.clear()
                hung_up.clear()

    asyncio.run(go())
