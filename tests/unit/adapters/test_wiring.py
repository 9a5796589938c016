from __future__ import annotations

from pathlib import Path

import pytest

from hookline.adapters.embedded import wiring
from hookline.control.transactions import Counter
from hookline.core.errors import Unavailable
from hookline.core.ports import Group, Ports
from hookline.core.topology import PLAN
from tests.unit.adapters.folders import names


def test_the_home_is_private_and_holds_everything(ports: Ports, home: Path) -> None:
    ports.blobs.put("t/a", b"x")

    assert home.stat().st_mode & 0o777 == 0o700
    assert {"catalog.db", "queue.db", "blobs", "secret"} <= set(names(home))


def test_processes_of_one_home_share_what_is_stored(ports: Ports, home: Path) -> None:
    ports.catalog.put(Counter(tenant="t", of="model", last=1))
    ports.blobs.put("t/a", b"x")
    ports.queue.send(PLAN, [b"job"])
    others = wiring.process_ports(home)

    assert others.catalog.get(Counter, "t", "model") is not None
    assert others.blobs.stat("t/a") is not None
    assert others.queue.depth(PLAN) == 1


def test_a_link_signed_by_one_process_is_valid_in_another(ports: Ports, home: Path) -> None:
    signed = ports.blobs.presign("GET", "t/a")

    assert (
        wiring.ports(home, fleet=ports.fleet, clock=ports.clock).blobs.presign("GET", "t/a")
        == signed
    )


def test_a_process_that_was_started_cannot_start_others(home: Path) -> None:
    fleet = wiring.process_ports(home).fleet
    for call in (
        lambda: fleet.ensure(Group("t", "g", "worker", 1)),
        fleet.observe,
        lambda: fleet.remove("t", "g"),
        lambda: fleet.logs("t", "g"),
    ):
        with pytest.raises(Unavailable, match="hookline up"):
            call()
