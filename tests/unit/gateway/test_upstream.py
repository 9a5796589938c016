from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from hookline.core.errors import Unavailable
from hookline.gateway.upstream import NotSent, Upstream
from tests.unit.gateway.replicas import ok, replica


async def echo(body: bytes) -> bytes:
    return ok(b"echo " + body)


def test_a_request_is_answered_and_its_connection_kept(tmp_path: Path) -> None:
    async def go() -> None:
        async with replica(tmp_path / "s", echo) as address:
            upstream = Upstream(address)
            for text in (b"a", b"b"):
                response = await upstream.post(b"/predict", [(b"content-type", b"x/y")], text)
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
            await upstream.post(b"/predict", [], b"x")
        assert upstream.in_flight == 0

    asyncio.run(go())


def test_a_replica_that_dies_while_predicting_is_unavailable(tmp_path: Path) -> None:
    async def die(_body: bytes) -> bytes:
        raise ConnectionResetError

    async def go() -> None:
        async with replica(tmp_path / "s", die) as address:
            with pytest.raises(Unavailable, match="went away"):
                await Upstream(address).post(b"/predict", [], b"x")

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
            work = asyncio.create_task(upstream.post(b"/predict", [], b"x"))
            await started.wait()
            work.cancel()
            with pytest.raises(asyncio.CancelledError):
                await work
            assert upstream._idle == []
            assert upstream.in_flight == 0

    asyncio.run(go())
