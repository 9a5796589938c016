from __future__ import annotations

import asyncio
import threading

import pytest

from hookline.core.errors import HooklineError, Unauthenticated, Unavailable
from hookline.core.ports import Ports
from hookline.gateway.lookup import Lookup
from hookline.gateway.routing import Destination, RoutingTable

HERE = Destination("acme", 7, ("unix:/run/0",))


class SlowTable(RoutingTable):
    """Answers when it is told to."""

    def __init__(self, ports: Ports, answer: Destination | HooklineError) -> None:
        super().__init__(ports.catalog)
        self.answer, self.before = answer, HERE
        self.asked, self.is_stale = 0, False
        self.release = threading.Event()

    def resolve(self, token: str) -> Destination | HooklineError:
        del token
        self.asked += 1
        self.release.wait(10)
        if isinstance(self.answer, Unavailable):
            raise self.answer
        return self.answer

    def stale(self, token: str) -> Destination | None:
        del token
        return self.before if self.is_stale else None


def test_many_requests_ask_for_a_token_once(ports: Ports) -> None:
    async def go() -> None:
        table = SlowTable(ports, HERE)
        lookup = Lookup(table)
        asking = [asyncio.create_task(lookup.find("t")) for _ in range(50)]
        await asyncio.sleep(0)
        table.release.set()
        assert await asyncio.gather(*asking) == [HERE] * 50
        assert table.asked == 1
        await lookup.find("t")
        assert table.asked == 2

    asyncio.run(go())


def test_a_stale_answer_serves_while_another_is_asked_for(ports: Ports) -> None:
    async def go() -> None:
        table = SlowTable(ports, Destination("acme", 7, ("unix:/run/1",)))
        table.is_stale = True
        lookup = Lookup(table)
        assert await lookup.find("t") == HERE
        assert await lookup.find("t") == HERE
        table.release.set()
        await asyncio.gather(*lookup._asking.values())
        assert table.asked == 1

    asyncio.run(go())


def test_one_that_stops_waiting_takes_the_answer_from_nobody(ports: Ports) -> None:
    async def go() -> None:
        table = SlowTable(ports, HERE)
        lookup = Lookup(table)
        leaves, stays = (asyncio.create_task(lookup.find("t")) for _ in range(2))
        await asyncio.sleep(0)
        leaves.cancel()
        table.release.set()
        assert await stays == HERE

    asyncio.run(go())


@pytest.mark.parametrize("error", [Unauthenticated("unknown"), Unavailable("no catalog")])
def test_what_the_table_refuses_is_raised_to_all(ports: Ports, error: HooklineError) -> None:
    async def go() -> None:
        table = SlowTable(ports, error)
        table.release.set()
        lookup = Lookup(table)
        found = await asyncio.gather(*(lookup.find("t") for _ in range(3)), return_exceptions=True)
        assert [type(one) for one in found] == [type(error)] * 3

    asyncio.run(go())


def test_a_catalog_that_fails_behind_a_stale_answer_hurts_nobody(ports: Ports) -> None:
    async def go() -> None:
        table = SlowTable(ports, Unavailable("no catalog"))
        table.is_stale = True
        table.release.set()
        lookup = Lookup(table)
        assert await lookup.find("t") == HERE
        await asyncio.wait(lookup._asking.values())
        await asyncio.sleep(0)
        assert lookup._asking == {}

    asyncio.run(go())
