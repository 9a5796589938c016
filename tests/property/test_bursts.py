"""In whatever order and however often events come: each version of a file gets into one job."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from hookline.control.users import bootstrap
from hookline.core.ports import Ports
from hookline.core.topology import DROPS
from hookline.core.triggers import Trigger
from tests.contract.adapters import WORLDS
from tests.fakes import FakeClock, FakeFleet
from tests.hostile import HostileQueue
from tests.unit.control.dropping import arrive, deliver, drop, files, jobs, watched
from tests.unit.control.events import Plane

SETTLE_S, MAX_WAIT_S, MAX_FILES = 30, 70, 4
RATE = 0.4  # of what a hostile queue does wrong
BEGINNING: list[tuple[str, Any, Any]] = [  # long enough for a queue to do some wrong in any case
    *(("write", name, b"1") for name in "abcdef"),
    *(("tell", place, 2) for place in range(6)),
    ("arrive", 1, 0),
]
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

    def __init__(self, ports: Ports, clock: FakeClock, gathering: dict[str, Any]) -> None:
        self.clock = clock
        self.queue = HostileQueue(ports.queue, seed=7, rate=RATE)
        self.queue.is_calm = True
        bootstrap(ports, "a", "ada")
        self.plane = Plane(replace(ports, queue=self.queue, fleet=FakeFleet(clock)))
        self.volume_id = watched(self.plane, **gathering)
        self.events: list[str] = []
        self.untold: set[str] = set()

    def suffer(self, steps: Sequence[tuple[str, Any, Any]]) -> None:
        """As `do`, but every event and message goes over a queue that is as bad as it may be."""
        self.queue.is_calm = False
        for step in steps:
            match step:
                case ("tell", place, times) if self.events:
                    event = self.events[place % len(self.events)]
                    self.plane.ports.queue.send(DROPS, [event.encode()] * times)
                case ("arrive", *_):
                    assert arrive(self.plane) == []
                case ("lose", *_):
                    continue  # what it has been given, a bad queue delivers some day
                case _:
                    self.do(step)
        self.queue.is_calm = True

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


@contextmanager
def told(world: str, gathering: dict[str, Any]) -> Iterator[Story]:
    """A story that is brought to its end and checked after the block."""
    clock = FakeClock()
    with tempfile.TemporaryDirectory() as folder, WORLDS[world](Path(folder), clock) as ports:
        story = Story(ports, clock, gathering)
        yield story
        story.end()
        story.check()


@settings(max_examples=15, deadline=None)
@given(GATHERINGS, st.lists(STEPS, max_size=25))
def test_every_version_that_stays_is_in_exactly_one_job(
    gathering: dict[str, Any], steps: list[tuple[str, Any, Any]]
) -> None:
    with told("embedded", gathering) as story:
        for step in steps:
            story.do(step)


@pytest.mark.slow
@pytest.mark.parametrize("world", WORLDS)
def test_a_hostile_queue_puts_no_version_into_two_jobs_or_none(world: str) -> None:
    suffered(world, examples=8)


@pytest.mark.faults
@pytest.mark.timeout(900)
@pytest.mark.parametrize("world", WORLDS)
def test_many_hostile_queues_put_no_version_into_two_jobs_or_none(world: str) -> None:
    suffered(world, examples=100)


def suffered(world: str, examples: int) -> None:
    """Stories on a hostile queue, which has done some wrong in each."""

    # Without shrinking, which takes an hour where a story takes a second.
    @settings(max_examples=examples, deadline=None, phases=[Phase.generate], print_blob=True)
    @given(GATHERINGS, st.lists(STEPS, max_size=25))
    def run(gathering: dict[str, Any], steps: list[tuple[str, Any, Any]]) -> None:
        with told(world, gathering) as story:
            story.suffer([*BEGINNING, *steps])
            assert story.queue.wrongs > 0

    run()
