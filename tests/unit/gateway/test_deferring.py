"""Predictions that outlive their request, through a gateway with a real folder of blobs."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from hookline.adapters.embedded import wiring
from hookline.core.ports import Blobs
from hookline.gateway import kept as keeping
from hookline.gateway.deferring import LONGEST_WAIT_S, preferred_wait_s
from hookline.gateway.kept import KEEP_S, LOST_S, Kept, Place, prefix
from hookline.gateway.proxy import Gateway
from hookline.gateway.routing import Destination
from tests.unit.gateway.replicas import ok, replica
from tests.unit.gateway.test_proxy import Caller, Table

ASYNC = (b"prefer", b"respond-async")
PATIENT = (b"prefer", b"respond-async, wait=20")


@dataclass
class World:
    """A gateway, and a replica that answers when its gate is open."""

    gateway: Gateway
    blobs: Blobs
    now: list[float]
    seen: list[bytes] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    answers: dict[bytes, bytes] = field(default_factory=dict)

    async def answer(self, body: bytes) -> bytes:
        self.seen.append(body)
        self.begun.set()
        await self.gate.wait()
        return self.answers.get(body, ok(b"echo " + body))

    async def ask(
        self, path: str = "/predict", *headers: tuple[bytes, bytes], body: bytes = b"x"
    ) -> Caller:
        """A request that is answered; its method follows from the path."""
        method = "GET" if "/results/" in path else "POST"
        caller = Caller(method=method, path=path, headers=headers, body=body)
        await caller.call(self.gateway)
        return caller

    async def settled(self, location: str) -> Caller:
        """The answer at `location`, once it is there."""
        while (caller := await self.ask(location)).status == 202:
            assert caller.says_when
            await asyncio.sleep(0.005)
        return caller

    def keys(self) -> list[str]:
        return [info.key for info in self.blobs.list(prefix("acme")).items]


def location_of(caller: Caller) -> str:
    return str(dict(caller.sent[0]["headers"])[b"location"], "ascii")


def scene(folder: Path, act: Callable[[World], Awaitable[None]]) -> None:
    """Act on a world of its own."""
    now = [time.time()]
    (folder / "home").mkdir()
    blobs = wiring.blobs(folder / "home", clock=lambda: now[0])

    async def go() -> None:
        kept = Kept(blobs, lambda: now[0])
        world: World

        async def answer(body: bytes) -> bytes:
            return await world.answer(body)

        async with replica(folder / "s", answer) as address:
            gateway = Gateway(Table(Destination("acme", 7, (address,))), kept=kept)
            world = World(gateway, blobs, now)
            try:
                await act(world)
            finally:
                await gateway.finish(0)
                gateway.close()

    asyncio.run(go())


def test_an_answer_in_time_comes_as_ever(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        world.gate.set()
        caller = await world.ask("/predict", PATIENT)
        assert (caller.status, caller.answer) == (200, b"echo x")
        assert world.keys() == []

    scene(tmp_path, act)


def test_an_answer_that_takes_longer_is_polled_for(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        first = await world.ask("/predict", ASYNC)
        location = location_of(first)
        assert (first.status, first.says_when) == (202, True)
        assert (b"preference-applied", b"respond-async") in first.sent[0]["headers"]
        assert location.startswith("/streams/7/results/")
        running = await world.ask(location)
        assert (running.status, json.loads(running.answer)["status"]) == (202, "running")
        world.gate.set()
        done = await world.settled(location)
        assert (done.status, done.answer) == (200, b"echo x")
        assert (b"content-type", b"text/plain") in done.sent[0]["headers"]
        assert world.seen == [b"x"]

    scene(tmp_path, act)


def test_who_has_the_token_in_the_path_polls_there(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        first = await world.ask("/predictions/secret", ASYNC)
        assert location_of(first).startswith("/predictions/secret/results/")
        world.gate.set()
        assert (await world.settled(location_of(first))).answer == b"echo x"

    scene(tmp_path, act)


def test_an_error_that_comes_late_is_told_to_who_polls(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        refusal = b"HTTP/1.1 422 No\r\ncontent-type: a/b\r\ncontent-length: 3\r\n\r\nbad"
        world.answers[b"x"] = refusal
        first = await world.ask("/predict", ASYNC)
        world.gate.set()
        done = await world.settled(location_of(first))
        assert (done.status, done.answer) == (422, b"bad")

    scene(tmp_path, act)


def test_a_body_goes_by_reference(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        world.gate.set()
        asked = await world.ask("/predict/uploads", body=b'{"size_bytes": 5}')
        lent = json.loads(asked.answer)
        assert (asked.status, lent["request"]["method"]) == (201, "PUT")
        world.blobs.put(Place("acme", 7, lent["reference"]).key("body"), b"large")
        reference = (b"body-reference", lent["reference"].encode())
        assert (await world.ask("/predict", reference, body=b"")).answer == b"echo large"
        assert (await world.ask("/predict", reference, body=b"own")).refusal[0] == 400

    scene(tmp_path, act)


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        (b"{}", (422, "invalid_input")),
        (b'{"size_bytes": 0}', (422, "invalid_input")),
        (b'{"size_bytes": 99999999999}', (413, "too_large")),
        (b'{"size_bytes": 1, "key": "x"}', (422, "invalid_input")),
    ],
)
def test_an_upload_is_asked_for_with_a_size_that_fits(
    body: bytes, refusal: tuple[int, str], tmp_path: Path
) -> None:
    async def act(world: World) -> None:
        assert (await world.ask("/predict/uploads", body=body)).refusal == refusal

    scene(tmp_path, act)


def test_what_was_not_uploaded_cannot_be_predicted(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        for reference in (b"0" * 32, b"../../escape"):
            asked = await world.ask("/predict", (b"body-reference", reference), body=b"")
            assert asked.refusal == (404, "not_found")
        assert world.seen == []

    scene(tmp_path, act)


@pytest.mark.parametrize("text", ["0" * 32, "x", "..%2F..%2Fbody"])
def test_what_nobody_began_is_not_found(text: str, tmp_path: Path) -> None:
    async def act(world: World) -> None:
        asked = await world.ask(f"/streams/7/results/{text}")
        assert asked.refusal == (404, "not_found")

    scene(tmp_path, act)


def test_an_answer_is_kept_for_an_hour_and_then_deleted(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        world.gate.set()
        location = location_of(await world.ask("/predict", ASYNC))
        await world.settled(location)
        world.now[0] += KEEP_S - 10
        assert (await world.ask(location)).status == 200
        world.now[0] += 20
        assert (await world.ask(location)).refusal == (404, "not_found")
        assert world.keys()
        Kept(world.blobs, lambda: world.now[0]).sweep("acme")
        assert world.keys() == []

    scene(tmp_path, act)


def test_a_prediction_whose_gateway_has_died_is_lost(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        place = Place.new("acme", 7)
        Kept(world.blobs, time.time).begin(place)
        location = f"/streams/7/results/{place.id}"
        assert (await world.ask(location)).status == 202
        world.now[0] += LOST_S + 1
        assert (await world.ask(location)).refusal == (503, "unavailable")

    scene(tmp_path, act)


def test_a_large_answer_lies_behind_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "INLINE_BYTES", 5)

    async def act(world: World) -> None:
        world.gate.set()
        location = location_of(await world.ask("/predict", ASYNC))
        done = await world.settled(location)
        assert done.status == 303
        assert location_of(done).startswith("/blobs/acme/predictions/7/")
        assert (b"x-answer-content-type", b"text/plain") in done.sent[0]["headers"]

    scene(tmp_path, act)


def test_who_leaves_before_it_is_deferred_withdraws_it(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        caller = Caller(headers=(PATIENT,))
        call = asyncio.create_task(caller.call(world.gateway))
        await world.begun.wait()
        caller.gone.set()
        await call
        assert caller.sent == []
        assert world.keys() == []

    scene(tmp_path, act)


def test_a_gateway_that_stops_lets_them_end_or_says_that_it_had_to(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        first = location_of(await world.ask("/predict", ASYNC))
        await world.begun.wait()
        finishing = asyncio.create_task(world.gateway.finish(30))
        world.gate.set()
        await finishing
        assert (await world.ask(first)).answer == b"echo x"
        world.gate.clear()
        second = location_of(await world.ask("/predict", ASYNC))
        await world.gateway.finish(0)
        assert (await world.ask(second)).refusal == (503, "unavailable")

    scene(tmp_path, act)


@pytest.mark.parametrize(
    ("values", "wait_s"),
    [
        ([], None),
        ([b"return=minimal"], None),
        ([b"wait=5"], None),
        ([b"respond-async"], 0.0),
        ([b"respond-async, wait=20"], 20.0),
        ([b"wait=20", b"Respond-Async"], 20.0),
        ([b"respond-async; wait=3"], 0.0),
        ([b"respond-async, wait=999"], LONGEST_WAIT_S),
        ([b"no-respond-async"], None),
    ],
)
def test_how_long_a_caller_waits_is_a_preference(values: list[bytes], wait_s: float | None) -> None:
    headers: Any = [(b"prefer", value) for value in values]
    assert preferred_wait_s({"headers": headers}) == wait_s
