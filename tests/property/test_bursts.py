"""In whatever order and however often events come: each version of a file gets into one job."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hookline.adapters.embedded import wiring
from hookline.control.users import bootstrap
from hookline.core.topology import DROPS
from hookline.core.triggers import Trigger
from tests.fakes import FakeClock, FakeFleet
from tests.unit.control.dropping import arrive, deliver, drop, files, jobs, watched
from tests.unit.control.events import Plane

SETTLE_S, MAX_WAIT_S, MAX_FILES = 30, 70, 4
GATHERINGS: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {"settle_s": SETTLE_S, "max_wait_s": MAX_WAIT_S, "max_files": MAX_FILES},
        {"settle_s": SETTLE_S},
        {"max_files": MAX_FILES},
        {"marker": "z"},
    ]
)
STEPS = st.one_of(
    st.tuples(st.just("write"), st.sampled_from("abcdef"), st.binary(min_size=1, max_size=2)),
    st.tuples(st.just("tell"), st.integers(0, 20), st.integers(1, 3)),
    st.tuples(st.just("wait"), st.integers(1, 40), st.just(0)),
    st.tuples(st.just("arrive"), st.integers(1, 3), st.just(0)),
    st.tuples(st.just("lose"), st.just(0), st.just(0)),
)


class Story:
    """A watched volume, the events that were made, and what has been told to nobody yet."""

    def __init__(self, home: Path, gathering: dict[str, Any]) -> None:
        self.clock = FakeClock()
        ports = wiring.ports(home, fleet=FakeFleet(self.clock), clock=self.clock)
        bootstrap(ports, "a", "ada")
        self.plane = Plane(ports)
        self.volume_id = watched(self.plane, **gathering)
        self.events: list[str] = []
        self.untold: set[str] = set()

    def do(self, step: tuple[str, Any, Any]) -> None:
        match step:
            case ("write", name, data):
                event = drop(self.plane, self.volume_id, name, data)
                self.events.append(event)
                self.untold.add(event)
            case ("tell", place, times) if self.events:
                event = self.events[place % len(self.events)]
                self.untold.discard(event)
                assert deliver(self.plane, [event] * times) == []
            case ("wait", seconds, _):
                self.clock.advance(seconds)
            case ("arrive", times, _):  # messages that come twice, and late
                bodies = [json.dumps(body) for body in self.plane.take(DROPS)]
                assert deliver(self.plane, bodies * times) == []
            case ("lose", _, _):
                self.plane.take(DROPS)

    def end(self) -> None:
        """Tell what is left, end with a marker, and let all the time pass that may be waited."""
        assert deliver(self.plane, sorted(self.untold)) == []
        assert deliver(self.plane, [drop(self.plane, self.volume_id, "z", b"end")]) == []
        for _ in range(6):
            self.clock.advance(MAX_WAIT_S)
            self.plane.handler("reconcile")({}, None)
            assert arrive(self.plane) == []

    def check(self) -> None:
        plane, volume_id = self.plane, self.volume_id
        taken = Counter(
            (file["name"], file["etag"]) for job in jobs(plane) for file in files(plane, job)
        )
        assert set(taken.values()) <= {1}, taken
        for job in jobs(plane):
            found = [file["name"] for file in files(plane, job)]
            assert found
            assert len(found) == len(set(found))
        trigger = plane.ports.catalog.get(Trigger, "a", 1)
        assert trigger is not None
        assert all(len(files(plane, job)) <= trigger.gathering.max_files for job in jobs(plane))
        items = plane.shown(f"/v1/volumes/{volume_id}/drops?limit=1000")["items"]
        outcomes = Counter(item["outcome"] for item in items)
        assert outcomes["taken"] == sum(taken.values())
        # A version that was written over before the marker came waits for ever.
        assert outcomes["waiting"] == 0 or trigger.gathering.starter
        starters = {"z"} if trigger.gathering.starter else set()
        present = plane.ports.blobs.list(f"a/volumes/{volume_id}/").items
        for blob in present:
            name = blob.key.rpartition("/")[2]
            assert name in starters or (name, blob.etag) in taken, name


@settings(max_examples=15, deadline=None)
@given(GATHERINGS, st.lists(STEPS, max_size=25))
def test_every_version_that_stays_is_in_exactly_one_job(
    gathering: dict[str, Any], steps: list[tuple[str, Any, Any]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        story = Story(Path(folder), gathering)
        for step in steps:
            story.do(step)
        story.end()
        story.check()
