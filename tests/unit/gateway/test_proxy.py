from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from hookline.core.errors import HooklineError, Unauthenticated
from hookline.core.timing import ASK, Timing
from hookline.gateway.proxy import Gateway, Limits
from hookline.gateway.reporter import Reporter
from hookline.gateway.routing import Destination, RoutingTable
from tests.prometheus import labels, parsed
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
    method: str = "POST"
    path: str = "/predict"
    headers: tuple[tuple[bytes, bytes], ...] = ()
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
        headers = [(b"content-type", b"image/png"), (b"cookie", b"private"), *self.headers]
        if self.token:
            headers.append((b"authorization", f"Bearer {self.token}".encode()))
        path = self.path if stream_id is None else f"/streams/{stream_id}{self.path}"
        scope = {
            "type": "http",
            "method": self.method,
            "path": path,
            "raw_path": path.encode(),
            "headers": headers,
        }
        assert await gateway.answer(scope, self.receive, self.send, "r1")

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def refusal(self) -> tuple[int, str]:
        return self.status, json.loads(self.answer)["code"]

    @property
    def says_when(self) -> bool:
        return any(name == b"retry-after" for name, _ in self.sent[0]["headers"])

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
            [upstream] = gateway._pool.by_load((address,))
            assert upstream.in_flight == 0

    asyncio.run(go())


def test_full_replicas_are_overloaded(tmp_path: Path) -> None:
    async def go() -> None:
        async with hanging(tmp_path / "s") as (address, started):
            full = Gateway(
                Table(Destination("acme", 7, (address,))), limits=Limits(in_flight_per_replica=1)
            )
            first, second = Caller(), Caller()
            work = asyncio.create_task(first.call(full))
            await started.wait()
            await second.call(full)
            assert second.refusal == (503, "overloaded")
            work.cancel()

    asyncio.run(go())


def test_a_tenant_with_too_many_requests_is_told_to_send_fewer(tmp_path: Path) -> None:
    async def go() -> None:
        async with hanging(tmp_path / "s") as (address, started):
            gateway = Gateway(
                Table(Destination("acme", 7, (address,))), limits=Limits(in_flight_per_tenant=1)
            )
            first, second = Caller(), Caller()
            work = asyncio.create_task(first.call(gateway))
            await started.wait()
            await second.call(gateway)
            assert second.refusal == (429, "too_many_requests")
            assert second.says_when
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            assert gateway._tenants == {"acme": 0}

    asyncio.run(go())


@asynccontextmanager
async def hanging(path: Path) -> AsyncIterator[tuple[str, asyncio.Event]]:
    """A replica that never answers, and whether it was asked."""
    started = asyncio.Event()

    async def hang(_body: bytes) -> bytes:
        started.set()
        await asyncio.Event().wait()
        return b""

    async with replica(path, hang) as address:
        yield address, started


# --- held requests -------------------------------------------------------------------------

ASLEEP = Destination("acme", 7, (), is_elastic=True, may_sleep=True)


class Listener(Reporter):
    """Notices whether anyone was in a hurry."""

    def __init__(self) -> None:
        super().__init__()
        self.hurried = asyncio.Semaphore(0)

    def hurry(self) -> None:
        self.hurried.release()


def test_a_request_wakes_a_stream_and_is_held_until_it_is_there(tmp_path: Path) -> None:
    async def go() -> None:
        table, reporter = Table(ASLEEP), Listener()
        gateway, caller = Gateway(table, reporter), Caller()
        work = asyncio.create_task(caller.call(gateway))
        await reporter.hurried.acquire()
        lane = gateway._lanes["acme", 7]
        assert (lane.meter.waiting, lane.meter.in_flight) == (1, 0)
        async with replica(tmp_path / "s", echo) as address:
            table.answer = replace(ASLEEP, addresses=(address,))
            await work
            gateway.close()
        assert (caller.status, caller.answer) == (200, b"echo hello")
        assert (lane.meter.waiting, lane.answered, lane.unserved) == (0, 1, 0)

    asyncio.run(go())


def test_a_held_request_is_given_up_after_a_while() -> None:
    async def go() -> None:
        gateway, caller = Gateway(Table(ASLEEP), limits=Limits(hold_s=0.01)), Caller()
        await caller.call(gateway)
        assert caller.refusal == (503, "not_ready")
        assert caller.says_when
        lane = gateway._lanes["acme", 7]
        assert (lane.meter.waiting, lane.unserved) == (0, 1)

    asyncio.run(go())


def test_no_more_requests_wait_than_may() -> None:
    async def go() -> None:
        reporter = Listener()
        gateway = Gateway(Table(ASLEEP), reporter, Limits(waiting_per_stream=2))
        held = [asyncio.create_task(Caller().call(gateway)) for _ in range(2)]
        for _ in held:
            await reporter.hurried.acquire()
        caller = Caller()
        await caller.call(gateway)
        assert caller.refusal == (503, "overloaded")
        assert caller.says_when
        for task in held:
            task.cancel()

    asyncio.run(go())


def test_a_caller_that_leaves_is_no_longer_held() -> None:
    async def go() -> None:
        reporter, caller = Listener(), Caller()
        gateway = Gateway(Table(ASLEEP), reporter)
        work = asyncio.create_task(caller.call(gateway))
        await reporter.hurried.acquire()
        caller.gone.set()
        await asyncio.wait_for(work, 5)
        assert gateway._lanes["acme", 7].meter.waiting == 0
        assert gateway._tenants == {"acme": 0}

    asyncio.run(go())


def test_a_stream_that_should_have_replicas_and_has_none_is_refused_at_once() -> None:
    async def go() -> None:
        reporter, caller = Listener(), Caller()
        gateway = Gateway(Table(Destination("acme", 7, ())), reporter)
        await caller.call(gateway)
        assert caller.refusal == (503, "not_ready")
        assert reporter.hurried.locked()
        assert gateway._lanes["acme", 7].unserved == 1

    asyncio.run(go())


def test_bodies_in_flight_are_bounded_in_bytes(tmp_path: Path) -> None:
    async def go() -> None:
        started, release = asyncio.Event(), asyncio.Event()

        async def slow(body: bytes) -> bytes:
            started.set()
            await release.wait()
            return ok(body)

        async with replica(tmp_path / "s", slow) as address:
            table = Table(Destination("acme", 7, (address,)))
            gateway = Gateway(table, limits=Limits(held_bytes=10))
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


def test_another_path_is_left_alone_and_another_method_refused() -> None:
    async def go() -> None:
        caller, gateway = Caller(), Gateway(Table(Destination("acme", 7, ())))
        scope: dict[str, Any] = {"type": "http", "headers": [], "method": "GET"}
        ping, predict = ({"path": p, "raw_path": p.encode()} for p in ("/ping", "/predict"))

        assert not await gateway.answer(scope | ping, caller.receive, caller.send, "r1")
        assert not caller.sent
        assert await gateway.answer(scope | predict, caller.receive, caller.send, "r1")
        assert caller.status == 405
        assert (b"allow", b"POST") in caller.sent[0]["headers"]

    asyncio.run(go())


# --- what is passed on, and told -------------------------------------------------------------

TIMING = Timing(queue_ms=1, preprocess_ms=2, predict_ms=3, postprocess_ms=4, batch_items=8)


def test_the_gateway_passes_on_what_a_replica_goes_by(tmp_path: Path) -> None:
    async def go() -> None:
        heads: list[bytes] = []
        async with replica(tmp_path / "s", echo, heads) as address:
            given = ((b"priority", b"u=1"), (b"accept", b"text/csv"))
            gateway = Gateway(Table(Destination("acme", 7, (address,))))
            await Caller(headers=given).call(gateway)
            gateway.close()
        lines = heads[0].split(b"\r\n")
        for name, value in (*given, (b"x-request-id", b"r1")):
            assert name + b": " + value in lines
        assert not any(line.startswith((b"cookie", b"authorization")) for line in lines)

    asyncio.run(go())


@pytest.mark.parametrize("is_asked", [True, False])
def test_who_asks_is_told_what_passed_in_the_replica_and_outside(
    tmp_path: Path, *, is_asked: bool
) -> None:
    async def answer(body: bytes) -> bytes:
        return ok(body, server_timing=TIMING.value().decode())

    async def go() -> None:
        async with replica(tmp_path / "s", answer) as address:
            caller = Caller(headers=(ASK,) if is_asked else ())
            gateway = Gateway(Table(Destination("acme", 7, (address,))))
            await caller.call(gateway)
            gateway.close()
        told = [value for name, value in caller.sent[0]["headers"] if name == b"server-timing"]
        assert len(told) == is_asked
        for value in told:
            timing = Timing.parsed(value)
            assert timing is not None
            assert timing.gateway_ms is not None
            assert replace(timing, gateway_ms=None) == TIMING

    asyncio.run(go())


def test_what_a_replica_invents_is_not_passed_on(tmp_path: Path) -> None:
    async def answer(body: bytes) -> bytes:
        return ok(body, server_timing="queue;dur=evil")

    async def go() -> None:
        async with replica(tmp_path / "s", answer) as address:
            caller = Caller(headers=(ASK,))
            gateway = Gateway(Table(Destination("acme", 7, (address,))))
            await caller.call(gateway)
            gateway.close()
        assert b"server-timing" not in dict(caller.sent[0]["headers"])

    asyncio.run(go())


def test_a_failure_of_the_gateway_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async def go() -> None:
        await Caller().call(Gateway(Table(Destination("acme", 7, ()))))

    asyncio.run(go())
    [line] = [record for record in caplog.records if record.getMessage() == "request_failed"]
    assert vars(line)["code"] == "not_ready"


def test_answers_are_counted_for_their_stream_by_status(tmp_path: Path) -> None:
    async def answer(body: bytes) -> bytes:
        return ok(body, server_timing=TIMING.value().decode())

    async def go() -> None:
        async with replica(tmp_path / "s", answer) as address:
            table = Table(Destination("acme", 7, (address,)))
            gateway = Gateway(table)
            await Caller().call(gateway)
            await Caller().call(gateway, stream_id=8)
            table.answer = Destination("acme", 7, ())
            await Caller().call(gateway)
            gateway.close()
        traffic = gateway._lanes["acme", 7].traffic
        assert traffic.statuses == {200: 1, 503: 1}
        assert (traffic.batch.total, traffic.queue.total) == (8, 0.001)
        assert gateway._refused == {401: 1}

    asyncio.run(go())


def test_metrics_are_those_of_the_tenant_whose_admin_asks(tmp_path: Path) -> None:
    class Guarded(Table):
        def tenant_of_admin(self, key: str) -> str:
            if key != "hk_admin":
                raise Unauthenticated("no")
            return "acme"

    async def go() -> None:
        async with replica(tmp_path / "s", echo) as address:
            table = Guarded(Destination("acme", 7, (address,)))
            gateway = Gateway(table)
            await Caller().call(gateway)
            table.answer = Destination("globex", 8, (address,))
            await Caller().call(gateway)
            scope: dict[str, Any] = {"type": "http", "method": "GET", "path": "/metrics"}
            asked = Caller()
            headers = [(b"authorization", b"Bearer hk_admin")]
            ours = await gateway.answer(
                scope | {"headers": headers}, asked.receive, asked.send, "r"
            )
            with pytest.raises(Unauthenticated):
                await gateway.answer(scope | {"headers": []}, asked.receive, asked.send, "r")
            gateway.close()
        assert ours
        found = parsed(asked.answer.decode())["hookline_stream_requests_total"]
        assert found == {labels(tenant="acme", stream="7", status="200"): 1}

    asyncio.run(go())


# --- deadlines -------------------------------------------------------------------------------


def test_a_request_is_held_no_longer_than_its_caller_waits() -> None:
    async def go() -> None:
        gateway = Gateway(Table(ASLEEP), limits=Limits(hold_s=3600.0))
        caller = Caller(headers=((b"x-request-timeout-ms", b"20"),))
        await asyncio.wait_for(caller.call(gateway), 30)
        assert caller.refusal == (504, "deadline_exceeded")
        lane = gateway._lanes["acme", 7]
        assert (lane.meter.waiting, lane.unserved) == (0, 1)

    asyncio.run(go())


def test_a_replica_gets_the_time_that_is_left(tmp_path: Path) -> None:
    async def go() -> None:
        table, reporter, heads = Table(ASLEEP), Listener(), list[bytes]()
        gateway = Gateway(table, reporter)
        caller = Caller(headers=((b"x-request-timeout-ms", b"60000"),))
        work = asyncio.create_task(caller.call(gateway))
        await reporter.hurried.acquire()
        await asyncio.sleep(0.05)  # which is gone when there is a replica
        async with replica(tmp_path / "s", echo, heads) as address:
            table.answer = replace(ASLEEP, addresses=(address,))
            await work
            gateway.close()
        left_ms = int(heads[0].split(b"x-request-timeout-ms: ")[1].split(b"\r\n")[0])
        assert 0 < left_ms <= 59950

    asyncio.run(go())


def test_a_time_that_cannot_be_read_is_left_to_the_replica(tmp_path: Path) -> None:
    async def go() -> None:
        heads: list[bytes] = []
        async with replica(tmp_path / "s", echo, heads) as address:
            gateway = Gateway(Table(Destination("acme", 7, (address,))))
            await Caller(headers=((b"x-request-timeout-ms", b"soon"),)).call(gateway)
            gateway.close()
        assert b"\r\nx-request-timeout-ms: soon\r\n" in heads[0]

    asyncio.run(go())
