"""What every fleet must do; the fake that other tests use must do it too."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from hookline.adapters.embedded.fleet import ProcessFleet
from hookline.core.ports import Fleet, Group
from tests.fakes import FakeFleet
from tests.polling import until

SLEEPER = "import pathlib, time; pathlib.Path('ready').touch(); time.sleep(60)"


def sleeper(_group: Group, _process_id: str, _run_dir: Path) -> Sequence[str]:
    return [sys.executable, "-S", "-c", SLEEPER]


def embedded(home: Path) -> Iterator[Fleet]:
    fleet = ProcessFleet(home, sleeper)
    yield fleet
    fleet.close()


def fake(_home: Path) -> Iterator[Fleet]:
    yield FakeFleet()


FLEETS: dict[str, Callable[[Path], Iterator[Fleet]]] = {"embedded": embedded, "fake": fake}


@pytest.fixture(params=FLEETS)
def fleet(request: pytest.FixtureRequest, home: Path) -> Iterator[Fleet]:
    yield from FLEETS[request.param](home)


def group(count: int = 1, name: str = "stream-1", tenant: str = "t") -> Group:
    return Group(tenant=tenant, name=name, role="stream", count=count)


def running(fleet: Fleet, tenant: str = "", name: str = "") -> set[str]:
    return {
        process.process_id
        for process in fleet.observe(tenant, name)
        if process.state in ("starting", "ready")
    }


def test_a_group_soon_has_as_many_processes_as_asked_for(fleet: Fleet) -> None:
    fleet.ensure(group(count=2))
    until(lambda: len(running(fleet)) == 2)

    found = fleet.observe()
    assert {(process.tenant, process.group) for process in found} == {("t", "stream-1")}
    assert len({process.address for process in found}) == 2
    assert all(process.address.startswith(("unix:/", "http://")) for process in found)
    assert all(process.started_at > 0 for process in found)


def test_the_same_group_again_changes_nothing(fleet: Fleet) -> None:
    fleet.ensure(group())
    until(lambda: len(running(fleet)) == 1)
    before = running(fleet)
    fleet.ensure(group())
    fleet.ensure(group(name="stream-2"))
    until(lambda: len(running(fleet)) == 2)

    assert before < running(fleet)


def test_a_group_grows_and_shrinks_by_its_newest(fleet: Fleet) -> None:
    fleet.ensure(group())
    until(lambda: len(running(fleet)) == 1)
    oldest = running(fleet)
    fleet.ensure(group(count=3))
    until(lambda: len(running(fleet)) == 3)
    fleet.ensure(group(count=1))
    until(lambda: len(fleet.observe()) == 1)

    assert running(fleet) == oldest


def test_a_group_may_have_no_process_and_come_back(fleet: Fleet) -> None:
    fleet.ensure(group(count=2))
    until(lambda: len(running(fleet)) == 2)
    fleet.ensure(group(count=0))
    until(lambda: list(fleet.observe("t", "stream-1")) == [])
    fleet.ensure(group())

    until(lambda: len(running(fleet)) == 1)


def test_observe_selects_by_tenant_and_group(fleet: Fleet) -> None:
    for tenant, name in [("t", "a"), ("t", "b"), ("u", "a")]:
        fleet.ensure(group(tenant=tenant, name=name))
    until(lambda: len(running(fleet)) == 3)

    assert len(fleet.observe("t")) == 2
    assert len(fleet.observe(group="a")) == 2
    assert len(fleet.observe("u", "a")) == 1
    assert list(fleet.observe("u", "b")) == []


def test_a_removed_group_is_soon_forgotten(fleet: Fleet) -> None:
    fleet.ensure(group(count=2))
    fleet.ensure(group(name="other"))
    until(lambda: len(running(fleet)) == 3)
    fleet.remove("t", "stream-1")

    until(lambda: list(fleet.observe("t", "stream-1")) == [])
    assert len(running(fleet, "t", "other")) == 1


def test_removing_what_is_absent_is_not_an_error(fleet: Fleet) -> None:
    fleet.remove("t", "never")

    assert list(fleet.observe()) == []


def test_a_removed_group_can_come_back(fleet: Fleet) -> None:
    fleet.ensure(group())
    until(lambda: len(running(fleet)) == 1)
    before = running(fleet)
    fleet.remove("t", "stream-1")
    fleet.ensure(group())

    until(lambda: len(fleet.observe()) == 1 and running(fleet) != before)


def test_a_group_without_a_log_has_no_lines(fleet: Fleet) -> None:
    lines, position = fleet.logs("t", "never")

    assert (list(lines), position) == ([], 0)
