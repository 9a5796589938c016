"""Whatever is lost, doubled or late: each version of a file that landed is predicted once."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hookline.adapters.embedded import wiring
from hookline.control import sweep as sweeping
from hookline.control.sweep import SETTLE_S
from hookline.control.users import bootstrap
from hookline.core.records import volume_prefix
from hookline.staging.volumes import local_path
from tests.fakes import FakeClock, FakeFleet
from tests.unit.control.content import filled_volume, imported
from tests.unit.control.dropping import created, deliver, files, jobs, sweep
from tests.unit.control.events import Plane

NAMES = st.sampled_from(["a/b", "a!", "a b", "b", "é", "z" * 200, "z" * 199 + "y"])
ACTIONS = st.one_of(
    st.tuples(st.just("write"), NAMES),
    st.tuples(st.just("event"), NAMES),
    st.tuples(st.just("delete"), NAMES),
    st.tuples(st.sampled_from(["sweep", "deliver", "wait"]), st.just("")),
)


class Box:
    """A watched volume, and the messages that wait for the drop function."""

    def __init__(self, home: Path) -> None:
        self.clock = FakeClock()
        self.plane = Plane(wiring.ports(home, fleet=FakeFleet(self.clock), clock=self.clock))
        bootstrap(self.plane.ports, "a", "ada")
        imported(self.plane)
        self.prefix = volume_prefix("a", filled_volume(self.plane, []))
        self.plane.made("/v1/volumes/1/triggers", {"model_id": 1})
        self.waiting: list[str] = []
        self.made: dict[tuple[str, str], int] = Counter()

    def act(self, action: str, name: str) -> None:
        match action:
            case "write":
                self.write(name)
            case "event":
                self.waiting.append(created(self.prefix + name))
            case "delete":
                self.plane.ports.blobs.delete(self.prefix + name)
            case "sweep":
                self.waiting += sweep(self.plane)
            case "deliver":  # some of it again later
                assert deliver(self.plane, self.waiting[::-1]) == []
                self.waiting = self.waiting[1::2]
            case "wait":
                self.clock.advance(SETTLE_S / 2)

    def write(self, name: str) -> None:
        blobs, key = self.plane.ports.blobs, self.prefix + name
        blobs.put(key, b"1")
        at = self.clock()
        os.utime(local_path(blobs.uri(key)), (at, at))
        self.clock.advance(1)

    def settle(self) -> None:
        self.clock.advance(SETTLE_S + 1)
        for _ in range(6):  # 7 files, of which a call looks at 4 and may stand anywhere
            self.waiting += sweep(self.plane)
            assert deliver(self.plane, self.waiting) == []
            self.waiting = []
        assert sweep(self.plane) == []

    def predicted(self) -> Counter[tuple[str, str]]:
        found = [file for job in jobs(self.plane) for file in files(self.plane, job)]
        return Counter((file["name"], file["etag"]) for file in found)

    def present(self) -> set[tuple[str, str]]:
        listed = self.plane.ports.blobs.list(self.prefix).items
        return {(blob.key.removeprefix(self.prefix), blob.etag) for blob in listed}


@settings(max_examples=25, deadline=None)
@given(st.lists(ACTIONS, max_size=25))
def test_each_version_that_landed_is_in_exactly_one_job(actions: list[tuple[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as home, pytest.MonkeyPatch.context() as patch:
        for name, value in (("PAGES", 2), ("FILES_PER_PAGE", 2), ("DROPS_PER_LOOK", 2)):
            patch.setattr(sweeping, name, value)
        box = Box(Path(home))
        landed: set[tuple[str, str]] = set()
        for action in actions:
            box.act(*action)
            landed |= box.present()
        box.settle()
        predicted = box.predicted()
        assert set(predicted.values()) <= {1}
        assert box.present() <= predicted.keys() <= landed
