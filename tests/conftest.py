"""Fixtures for every test: a home folder, a clock that tests move, and the embedded ports."""

from __future__ import annotations

from pathlib import Path

import pytest

from hookline.adapters.embedded import wiring
from hookline.core.ports import Ports
from tests.fakes import FakeClock, FakeFleet


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def fleet(clock: FakeClock) -> FakeFleet:
    return FakeFleet(clock)


@pytest.fixture
def ports(home: Path, clock: FakeClock, fleet: FakeFleet) -> Ports:
    return wiring.ports(home, fleet=fleet, clock=clock)
