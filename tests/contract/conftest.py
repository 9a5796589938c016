"""Each port of each world; a queue that keeps order, and one that keeps only what is promised."""

from __future__ import annotations

from pathlib import Path

import pytest

from hookline.core.ports import Blobs, Catalog, Queue
from tests.contract.adapters import DISORDERLY, WORLDS
from tests.fakes import FakeClock


@pytest.fixture(params=WORLDS)
def catalog(request: pytest.FixtureRequest, home: Path, clock: FakeClock) -> Catalog:
    return WORLDS[request.param](home, clock).catalog


@pytest.fixture(params=WORLDS)
def blobs(request: pytest.FixtureRequest, home: Path, clock: FakeClock) -> Blobs:
    return WORLDS[request.param](home, clock).blobs


@pytest.fixture(params=WORLDS)
def queue(request: pytest.FixtureRequest, home: Path, clock: FakeClock) -> Queue:
    return WORLDS[request.param](home, clock).queue


@pytest.fixture(params=WORLDS | DISORDERLY)
def any_queue(request: pytest.FixtureRequest, home: Path, clock: FakeClock) -> Queue:
    return (WORLDS | DISORDERLY)[request.param](home, clock).queue
