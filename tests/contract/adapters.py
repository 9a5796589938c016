"""The worlds the contract suite runs over. One entry per adapter; AWS's joins them here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hookline.adapters.embedded import wiring
from hookline.core.ports import Ports
from tests.fakes import FakeClock, FakeFleet

World = Callable[[Path, FakeClock], Ports]


def embedded(home: Path, clock: FakeClock) -> Ports:
    return wiring.ports(home, fleet=FakeFleet(clock), clock=clock)


def embedded_with_chaos(home: Path, clock: FakeClock) -> Ports:
    return wiring.ports(home, fleet=FakeFleet(clock), clock=clock, chaos=7)


WORLDS: dict[str, World] = {"embedded": embedded}
DISORDERLY: dict[str, World] = {"embedded+chaos": embedded_with_chaos}
