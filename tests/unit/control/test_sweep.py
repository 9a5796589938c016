from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hookline.control import sweep as sweeping
from hookline.control.sweep import SETTLE_S
from hookline.core.errors import Unavailable
from hookline.core.ports import BlobInfo, Blobs, Catalog, Page, Ports
from hookline.core.records import Serving, Volume, volume_prefix
from hookline.core.triggers import Drop, Trigger
from hookline.staging.volumes import local_path
from tests.fakes import FakeClock
from tests.unit.control.content import filled_volume, imported
from tests.unit.control.dropping import deliver, files, jobs, names_told, sweep, told
from tests.unit.control.events import Plane

OVERDUE_S = SETTLE_S + 1


def watched(plane: Plane, link: Path | None = None) -> int:
    """A watched volume of tenant a: of uploads, or of a folder that is made here."""
    imported(plane)
    fields = {"link": str(link)} if link else {}
    if link:
        link.mkdir()
    volume_id = filled_volume(plane, [], **fields)
    plane.made(f"/v1/volumes/{volume_id}/triggers", {"model_id": 1})
    return volume_id


def land(plane: Plane, volume_id: int, name: str, data: bytes = b"1") -> None:
    """Store a file now, by the plane's clock, of which no event tells."""
    key = volume_prefix("a", volume_id) + name
    plane.ports.blobs.put(key, data)
    set_time(local_path(plane.ports.blobs.uri(key)), plane.ports.clock())


def fill(plane: Plane, folder: Path, names: Sequence[str]) -> None:
    """Copy files into a linked folder."""
    for name in names:
        (folder / name).write_bytes(b"1")
        set_time(folder / name, plane.ports.clock())


def set_time(path: Path, at: float) -> None:
    os.utime(path, (at, at))


def numbered(count: int) -> list[str]:
    return [f"{number:05}.png" for number in range(count)]


def test_a_file_whose_event_was_lost_is_predicted_within_one_sweep(
    plane: Plane, clock: FakeClock
) -> None:
    volume_id = watched(plane)
    land(plane, volume_id, "a b.png", b"123")
    clock.advance(OVERDUE_S)

    assert deliver(plane, sweep(plane)) == []

    [job] = jobs(plane)
    assert [(file["name"], file["size"]) for file in files(plane, job)] == [("a b.png", 3)]
    assert sweep(plane) == []


def test_files_of_a_linked_folder_are_found_as_well(
    plane: Plane, clock: FakeClock, tmp_path: Path
) -> None:
    watched(plane, tmp_path / "in box")
    fill(plane, tmp_path / "in box", ["a b.png"])
    clock.advance(OVERDUE_S)

    deliver(plane, sweep(plane))

    assert [file["name"] for file in files(plane, jobs(plane)[0])] == ["a b.png"]
    assert sweep(plane) == []


def test_dotfiles_are_left_alone(plane: Plane, clock: FakeClock) -> None:
    volume_id = watched(plane)
    for name in (".DS_Store", ".git/config", "a.png"):
        land(plane, volume_id, name)
    clock.advance(OVERDUE_S)

    assert names_told(sweep(plane)) == ["a.png"]


def test_a_young_file_is_left_to_its_event(plane: Plane, clock: FakeClock) -> None:
    volume_id = watched(plane)
    land(plane, volume_id, "a.png")
    clock.advance(SETTLE_S - 1)
    assert sweep(plane) == []
    clock.advance(2)
    assert names_told(sweep(plane)) == ["a.png"]


def test_files_that_were_there_before_the_trigger_are_left_alone(
    plane: Plane, clock: FakeClock
) -> None:
    volume_id = filled_volume(plane, [])
    land(plane, volume_id, "old.png")
    clock.advance(1)
    imported(plane)
    plane.made(f"/v1/volumes/{volume_id}/triggers", {"model_id": 1})
    land(plane, volume_id, "new.png")
    clock.advance(OVERDUE_S)

    assert names_told(sweep(plane)) == ["new.png"]


def test_another_version_of_a_file_that_was_predicted_is_found(
    plane: Plane, clock: FakeClock
) -> None:
    volume_id = watched(plane)
    for data in (b"old", b"newer"):
        land(plane, volume_id, "a.png", data)
        clock.advance(OVERDUE_S)
        deliver(plane, sweep(plane))

    assert [files(plane, job)[0]["size"] for job in jobs(plane)] == [3, 5]
    assert sweep(plane) == []


def test_results_and_other_files_in_the_same_bucket_never_trigger(
    plane: Plane, clock: FakeClock
) -> None:
    volume_id = watched(plane)
    land(plane, volume_id, "a.png")
    for key in ("a/jobs/1/results.csv", f"a/volumes/{volume_id}0/x.png", "a/triggers/1/x.jsonl"):
        plane.ports.blobs.put(key, b"1")
        set_time(local_path(plane.ports.blobs.uri(key)), clock())
    clock.advance(OVERDUE_S)

    assert names_told(sweep(plane)) == ["a.png"]


@pytest.fixture
def small_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call looks at one page of ten files."""
    monkeypatch.setattr(sweeping, "PAGES", 1)
    monkeypatch.setattr(sweeping, "FILES_PER_PAGE", 10)


@pytest.mark.usefixtures("small_calls")
def test_a_large_volume_is_gone_through_in_several_calls(
    plane: Plane, clock: FakeClock, tmp_path: Path
) -> None:
    watched(plane, tmp_path / "in")
    names = numbered(23)
    fill(plane, tmp_path / "in", names)
    clock.advance(OVERDUE_S)

    found = [sweep(plane) for _ in range(3)]

    assert [len(some) for some in found] == [10, 10, 3]
    assert names_told([body for some in found for body in some]) == names
    deliver(plane, found[0])
    assert names_told(sweep(plane)) == []  # it begins anew, with those that have drops by now
    assert names_told(sweep(plane)) == names[10:20]


@pytest.mark.usefixtures("small_calls")
def test_a_large_volume_does_not_keep_small_ones_waiting(
    plane: Plane, clock: FakeClock, tmp_path: Path
) -> None:
    watched(plane, tmp_path / "large")
    fill(plane, tmp_path / "large", numbered(50))
    small = [watched(plane) for _ in range(3)]
    for volume_id in small:
        land(plane, volume_id, f"{volume_id}.png")

    found = []
    for _ in range(4):
        clock.advance(OVERDUE_S)
        found.append(names_told(sweep(plane)))

    assert found == [numbered(10), *([f"{volume_id}.png"] for volume_id in small)]


def test_one_call_goes_through_as_many_pages_as_it_may(
    plane: Plane, clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "PAGES", 4)
    monkeypatch.setattr(sweeping, "FILES_PER_PAGE", 10)
    watched(plane, tmp_path / "in")
    fill(plane, tmp_path / "in", numbered(50))
    land(plane, watched(plane), "a.png")
    clock.advance(OVERDUE_S)

    assert names_told(sweep(plane)) == [*numbered(30), "a.png"]


@pytest.mark.usefixtures("small_calls")
def test_a_trigger_that_is_turned_off_between_calls_ends_its_walk(
    plane: Plane, clock: FakeClock, tmp_path: Path
) -> None:
    volume_id = watched(plane, tmp_path / "in")
    fill(plane, tmp_path / "in", numbered(15))
    clock.advance(OVERDUE_S)
    first = sweep(plane)
    assert len(first) == 10

    plane("DELETE", f"/v1/volumes/{volume_id}/triggers")

    assert sweep(plane) == []
    deliver(plane, first)
    assert jobs(plane) == []


def test_a_folder_that_went_away_keeps_no_other_waiting(
    plane: Plane, clock: FakeClock, tmp_path: Path
) -> None:
    watched(plane, tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    land(plane, watched(plane), "a.png")
    clock.advance(OVERDUE_S)

    assert names_told(sweep(plane)) == ["a.png"]


def test_a_store_that_fails_is_told_after_the_others_had_their_turn(
    plane: Plane, clock: FakeClock, tmp_path: Path
) -> None:
    watched(plane, tmp_path / "in")
    land(plane, watched(plane), "a.png")
    clock.advance(OVERDUE_S)

    def closed(_link: str) -> Blobs:
        raise Unavailable("S3 does not answer.")

    handler = sweeping.build(replace(plane.ports, linked=closed))
    with pytest.raises(Unavailable):
        handler({}, None)

    assert names_told(told(plane)) == ["a.png"]


def test_a_file_that_is_not_whole_waits_for_a_later_sweep(plane: Plane, clock: FakeClock) -> None:
    volume_id = watched(plane)
    for name in ("a.png", "half.png"):
        land(plane, volume_id, name)
    clock.advance(OVERDUE_S)

    def is_whole(_blobs: Blobs, blob: BlobInfo) -> bool:
        return not blob.key.endswith("half.png")

    sweeping.build(plane.ports, is_whole=is_whole)({}, None)

    assert names_told(told(plane)) == ["a.png"]
    assert names_told(sweep(plane)) == ["a.png", "half.png"]


def test_two_sweeps_at_once_do_no_harm(plane: Plane, clock: FakeClock) -> None:
    land(plane, watched(plane), "a.png")
    clock.advance(OVERDUE_S)

    def is_whole(_blobs: Blobs, _blob: BlobInfo) -> bool:
        plane.handler("sweep")({}, None)
        return True

    sweeping.build(plane.ports, is_whole=is_whole)({}, None)

    assert deliver(plane, told(plane)) == []
    assert len(jobs(plane)) == 1


def test_the_volumes_of_every_tenant_are_swept(
    plane: Plane, clock: FakeClock, tmp_path: Path
) -> None:
    land(plane, watched(plane), "a.png")
    volume = Volume(tenant="b", id=1, name="v", link=tmp_path.as_uri() + "/b", created_at=clock())
    trigger = Trigger(
        tenant="b", id=1, volume_id=1, model_id=1, serving=Serving(), created_at=clock()
    )
    (tmp_path / "b").mkdir()
    for record in (volume, trigger):
        plane.ports.catalog.put(record)
    fill(plane, tmp_path / "b", ["b.png"])
    clock.advance(OVERDUE_S)

    assert names_told(sweep(plane)) == ["a.png", "b.png"]


class Counted:
    """A catalog and a store that count the pages they were asked for."""

    def __init__(self, ports: Ports) -> None:
        self.lists = self.looks = 0
        self._catalog, self._open = ports.catalog, ports.linked

    def ports(self, ports: Ports) -> Ports:
        catalog = _Proxy(ports.catalog, query=self._query)
        return replace(ports, catalog=catalog, linked=self._linked)

    def _query(self, kind: Any, *args: Any, **options: Any) -> Page[Any]:
        self.looks += kind is Drop
        return self._catalog.query(kind, *args, **options)

    def _linked(self, link: str) -> Any:
        blobs = self._open(link)

        def listed(*args: Any, **options: Any) -> Page[BlobInfo]:
            self.lists += 1
            return blobs.list(*args, **options)

        return _Proxy(blobs, list=listed)


class _Proxy:
    """Another object, but for some of its methods."""

    def __init__(self, real: Catalog | Blobs, **methods: Callable[..., Any]) -> None:
        self._real, self._methods = real, methods

    def __getattr__(self, name: str) -> Any:
        return self._methods.get(name) or getattr(self._real, name)


def calls(plane: Plane) -> tuple[int, int]:
    """Pages of files and of drops that a sweep asks for."""
    counted = Counted(plane.ports)
    sweeping.build(counted.ports(plane.ports))({}, None)
    return counted.lists, counted.looks


def see(plane: Plane, folder: Path) -> None:
    """Leave a drop of every file of the linked folder, as the drop function does."""
    for blob in plane.ports.linked(folder.as_uri()).list("").items:
        drop = Drop(
            tenant="a",
            trigger_id=1,
            name=blob.key,
            etag=blob.etag,
            size_bytes=blob.size_bytes,
            job_id=1,
            reason="",
            seen_at=plane.ports.clock(),
        )
        plane.ports.catalog.put(drop)


def test_a_quiet_volume_costs_a_page_of_files_per_1000_and_one_of_drops_per_100(
    plane: Plane, clock: FakeClock, tmp_path: Path
) -> None:
    watched(plane, tmp_path / "in")
    fill(plane, tmp_path / "in", numbered(1000))
    see(plane, tmp_path / "in")
    fill(plane, tmp_path / "in", ["~.png"])
    clock.advance(OVERDUE_S)

    assert calls(plane) == (2, 11)
    assert names_told(told(plane)) == ["~.png"]


def test_files_older_than_the_trigger_cost_no_look_at_drops(
    plane: Plane, clock: FakeClock, tmp_path: Path
) -> None:
    watched(plane, tmp_path / "in")
    clock.advance(-1)
    fill(plane, tmp_path / "in", numbered(1500))
    clock.advance(OVERDUE_S)

    assert calls(plane) == (2, 0)


def test_drops_of_files_that_are_gone_are_leapt_over(
    plane: Plane, clock: FakeClock, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    watched(plane, folder)
    names = numbered(450)
    fill(plane, folder, names)
    see(plane, folder)
    kept = {names[0], names[200], names[449]}
    for name in names:
        if name not in kept:
            (folder / name).unlink()
    clock.advance(OVERDUE_S)

    assert calls(plane) == (1, 3)
    assert told(plane) == []
