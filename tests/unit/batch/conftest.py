from __future__ import annotations

import pytest

from hookline.core.ports import Ports
from tests.fakes import FakeClock
from tests.unit.batch.world import World


@pytest.fixture
def world(ports: Ports, clock: FakeClock) -> World:
    return World(ports, clock)
