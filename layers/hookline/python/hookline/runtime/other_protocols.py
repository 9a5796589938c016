"""The protocols of the field that a replica speaks beside its own, by the name in its paths."""

from __future__ import annotations

from collections.abc import Callable

from hookline.core.errors import HooklineError, NotFound
from hookline.runtime.answers import Header
from hookline.runtime.exchange import Exchange
from hookline.runtime.kserve import V1
from hookline.runtime.lane import Lane
from hookline.runtime.service import Service
from hookline.runtime.v2.http import V2

Reply = Callable[[list[Header], bytes], None]
Fail = Callable[[HooklineError], None]


class Protocols:
    """Everything that can be asked of `service` over HTTP, but for predictions of our own."""

    def __init__(self, service: Service) -> None:
        self._lane = Lane("protocols")
        self._spoken: dict[str, V1 | V2] = {"v1": V1(service), "v2": V2(service, self._lane)}

    def answer(self, exchange: Exchange, reply: Reply, fail: Fail) -> None:
        """Reply now or later, once, or fail; raise the HooklineError that refuses it."""
        protocol = exchange.found.operation.protocol if exchange.found else ""
        if protocol not in self._spoken:
            raise NotFound("There is nothing at this path.")
        self._spoken[protocol].answer(exchange, reply, fail)

    def close(self) -> None:
        """Let the thread end that reads and writes what is large."""
        self._lane.close()
