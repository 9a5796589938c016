from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from hookline.core.errors import HooklineError, Unauthenticated
from hookline.gateway.proxy import MAX_IN_FLIGHT_PER_REPLICA, Gateway, PredictCall
from hookline.gateway.routing import Destination, RoutingTable
from hookline.gateway.upstream import Upstream
from tests.unit.gateway.replicas import ok, replica


class Table(RoutingTable):
    """A routing table with one fixed answer."""

    def __init__(self, answer: Destination | HooklineError) -> None:
        self.answer = answer
        self.forgotten: list[str] = []

    def kept(self, token: str) -> Destination | HooklineError | None:
        del token
        return self.answer

    def resolve(self, token: str) -> Destination | HooklineError:
        del token
        return self.answer

    def forget(self, token: str) -> None:
        self.forgotten.append(token)


@dataclass
class Caller:
    """One ASGI request and what came back."""

    body: bytes = b"hello"
    token: str = "secret"
    sent: list[dict[str, Any]] = field(default_factory=list)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    has_sent_body: bool = False

    async def receive(self) -> dict[str, Any]:
        if not self.has_sent_body:
            self.has_sent_body = True
            return {"type": "http.request", "body": self.body}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    async def call(self, gateway: Gateway, stream_id: int | None = None) -> None:
        headers = [(b"content-type", b"image/png"), (b"cookie", b"private")]
        if self.token:
            headers.append((b"authorization", f"Bearer {self.token}".encode()))
        scope = {"type": "http", "headers": headers}
        await gateway.predict(scope, self.receive, self.send, request="r1", stream_id=stream_id)

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def answer(self) -> bytes:
        return bytes(self.sent[1]["body"])


async def echo(body: bytes) -> bytes:
    return ok(b"echo " + body)


def test_the_answer_comes_back_as_it_is(tmp_path: Path) -> None:
    async def go() -> None:
        async with replica(tmp_path / "s", echo) as address:
            caller, gateway = Caller(), Gateway(Table(Destination("acme", 7, (address,))))
            await caller.call(gateway)
            gateway.close()
            assert (caller.status, caller.answer) == (200, b"echo hello")
            assert (b"x-request-id", b"r1") in caller.sent[0]["headers"]

    asyncio.run(go())


def test_a_dead_replica_is_passed_over_and_the_table_asked_again(tmp_path: Path) -> None:
    async def go() -> None:
        async with replica(tmp_path / "s", echo) as address:
            table = Table(Destination("acme", 7, (f"unix:{tmp_path}/dead", address)))
            caller, gateway = Caller(), Gateway(table)
            await caller.call(gateway)
            gateway.close()
            assert caller.answer == b"echo hello"
            assert table.forgotten == ["secret"]

    asyncio.run(go())


def test_no_reachable_replica_is_not_ready(tmp_path: Path) -> None:
    async def go() -> None:
        caller = Caller()
        await caller.call(Gateway(Table(Destination("acme", 7, (f"unix:{tmp_path}/dead",)))))
        assert caller.status == 503
        assert json.loads(caller.answer)["code"] == "not_ready"
        assert any(name == b"retry-after" for name, _ in caller.sent[0]["headers"])

    asyncio.run(go())


@pytest.mark.parametrize("token", ["", "secret"])
def test_a_refused_token_is_a_problem(token: str) -> None:
    async def go() -> None:
        caller = Caller(token=token)
        await caller.call(Gateway(Table(Unauthenticated("The token is not known."))))
        assert caller.status == 401
        assert json.loads(caller.answer)["request_id"] == "r1"

    asyncio.run(go())


def test_a_token_of_another_stream_is_refused() -> None:
    async def go() -> None:
        caller = Caller()
        await caller.call(Gateway(Table(Destination("acme", 7, ("unix:/x",)))), stream_id=8)
        assert caller.status == 401

    asyncio.run(go())


def test_a_caller_that_leaves_cancels_its_request(tmp_path: Path) -> None:
    async def go() -> None:
        started, cancelled = asyncio.Event(), asyncio.Event()

        async def hang(_body: bytes) -> bytes:
            started.set()
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()
            return b""

        async with replica(tmp_path / "s", hang) as address:
            caller = Caller()
            gateway = Gateway(Table(Destination("acme", 7, (address,))))
            work = asyncio.create_task(caller.call(gateway))
            await started.wait()
            caller.gone.set()
            await asyncio.wait_for(work, 5)
            assert caller.sent == []
            assert gateway._upstreams[address].in_flight == 0

    asyncio.run(go())


def test_the_replica_with_the_fewest_requests_is_tried_first() -> None:
    gateway = Gateway(Table(Destination("acme", 7, ())))
    gateway._upstreams = {name: Upstream(name) for name in ("unix:a", "unix:b")}
    gateway._upstreams["unix:a"].in_flight = 3
    assert [up.address for up in gateway._by_load(("unix:a", "unix:b"))] == ["unix:b", "unix:a"]


def test_full_replicas_are_overloaded() -> None:
    gateway = Gateway(Table(Destination("acme", 7, ())))
    gateway._upstreams = {"unix:a": Upstream("unix:a")}
    gateway._upstreams["unix:a"].in_flight = MAX_IN_FLIGHT_PER_REPLICA
    with pytest.raises(HooklineError, match="busy"):
        gateway._by_load(("unix:a",))


def test_bodies_in_flight_are_bounded_in_bytes(tmp_path: Path) -> None:
    async def go() -> None:
        started, release = asyncio.Event(), asyncio.Event()

        async def slow(body: bytes) -> bytes:
            started.set()
            await release.wait()
            return ok(body)

        async with replica(tmp_path / "s", slow) as address:
            gateway = Gateway(Table(Destination("acme", 7, (address,))), max_held_bytes=10)
            first, second = Caller(body=b"12345678"), Caller(body=b"1234")
            work = asyncio.create_task(first.call(gateway))
            await started.wait()
            await second.call(gateway)
            assert second.status == 503
            assert json.loads(second.answer)["code"] == "overloaded"
            release.set()
            await work
            assert first.answer == b"12345678"
            third = Caller(body=b"1234567890")
            await third.call(gateway)
            assert third.status == 200
            gateway.close()

    asyncio.run(go())


@pytest.mark.parametrize(
    ("path", "call"),
    [
        ("/predict", PredictCall()),
        ("/streams/23/predict", PredictCall(stream_id=23)),
        ("/predictions/ab12", PredictCall(token="ab12")),
        ("/streams/x/predict", None),
        ("/streams/12345678901/predict", None),
        ("/streams/\u0663/predict", None),
        ("/predictions/a/b", None),
        ("/predictions/", None),
        ("/predict/", None),
        ("/ping", None),
    ],
)
def test_a_predict_call_is_known_by_its_path(path: str, call: PredictCall | None) -> None:
    assert PredictCall.of(path) == call


def test_another_path_is_left_alone_and_another_method_refused() -> None:
    async def go() -> None:
        caller, gateway = Caller(), Gateway(Table(Destination("acme", 7, ())))
        scope: dict[str, Any] = {"type": "http", "headers": [], "method": "GET", "path": "/ping"}

        assert not await gateway.answer(scope, caller.receive, caller.send, "r1")
        assert not caller.sent
        assert await gateway.answer(scope | {"path": "/predict"}, caller.receive, caller.send, "r1")
        assert caller.status == 405
        assert (b"allow", b"POST") in caller.sent[0]["headers"]

    asyncio.run(go())
