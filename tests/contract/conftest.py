"""Each port of each world; a queue that keeps order, and one that keeps only what is promised."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hookline.core.ports import Blobs, Catalog, Queue
from tests.contract.adapters import DISORDERLY, WORLDS
from tests.fakes import FakeClock


@pytest.fixture(params=WORLDS)
def catalog(request: pytest.FixtureRequest, home: Path, clock: FakeClock) -> Iterator[Catalog]:
    with WORLDS[request.param](home, clock) as ports:
        yield ports.catalog


@pytest.fixture(params=WORLDS)
def blobs(request: pytest.FixtureRequest, home: Path, clock: FakeClock) -> Iterator[Blobs]:
    with WORLDS[request.param](home, clock) as ports:
        yield ports.blobs


@pytest.fixture(params=WORLDS)
def queue(request: pytest.FixtureRequest, home: Path, clock: FakeClock) -> Iterator[Queue]:
    with WORLDS[request.param](home, clock) as ports:
        yield ports.queue


@pytest.fixture(params=WORLDS | DISORDERLY)
def any_queue(request: pytest.FixtureRequest, home: Path, clock: FakeClock) -> Iterator[Queue]:
    with (WORLDS | DISORDERLY)[request.param](home, clock) as ports:
        yield ports.queue
