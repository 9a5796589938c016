"""A control plane over the embedded ports, with a little content."""

from __future__ import annotations

import pytest

from hookline.control.users import bootstrap
from hookline.core.ports import Ports
from tests.fakes import FakeClock
from tests.unit.batch.world import World
from tests.unit.control.events import Plane


@pytest.fixture
def plane(ports: Ports) -> Plane:
    bootstrap(ports, "a", "ada")
    bootstrap(ports, "b", "bob")
    return Plane(ports)


@pytest.fixture
def world(ports: Ports, clock: FakeClock) -> World:
    return World(ports, clock)
