from __future__ import annotations

import os
from pathlib import Path

import pytest

from hookline.control import starters
from hookline.core.topology import DROPS
from tests.fakes import FakeClock
from tests.unit.control.dropping import (
    arrive,
    created,
    deliver,
    drop,
    history,
    jobs,
    names,
    watched,
)
from tests.unit.control.events import Plane


def test_a_marker_begins_a_job_of_the_files_beside_and_below_it(plane: Plane) -> None:
    volume_id = watched(plane, marker="_SUCCESS")
    landed = ("day1/a.png", "day1/sub/b.png", "day2/c.png", "day10/d.png")
    deliver(plane, [drop(plane, volume_id, name) for name in landed])
    assert jobs(plane) == []
    assert history(plane, volume_id)["day1/a.png"] == (
        "waiting",
        None,
        "Its job begins when a _SUCCESS lands, if this version is there then.",
    )

    deliver(plane, [drop(plane, volume_id, "day1/_SUCCESS", b"")])

    assert names(plane) == [["day1/a.png", "day1/sub/b.png"]]
    told = history(plane, volume_id)
    assert {name: found[:2] for name, found in told.items()} == {
        "day1/_SUCCESS": ("starter", 1),
        "day1/a.png": ("taken", 1),
        "day1/sub/b.png": ("taken", 1),
        "day10/d.png": ("waiting", None),
        "day2/c.png": ("waiting", None),
    }


def test_a_marker_whose_event_comes_first_has_every_file_all_the_same(plane: Plane) -> None:
    volume_id = watched(plane, marker="_SUCCESS", suffixes=[".png"])
    late = [drop(plane, volume_id, name) for name in ("b.png", "a.png", "c.txt")]

    deliver(plane, [drop(plane, volume_id, "_SUCCESS", b"")])
    deliver(plane, late)

    assert names(plane) == [["a.png", "b.png"]]
    assert history(plane, volume_id)["c.txt"][0] == "ignored"


def test_an_empty_marker_that_is_written_again_begins_a_job_of_what_is_new(
    plane: Plane, clock: FakeClock
) -> None:
    volume_id = watched(plane, marker="_SUCCESS")
    first = [drop(plane, volume_id, name, b"") for name in ("a.png", "_SUCCESS")]
    deliver(plane, first)
    deliver(plane, first)
    assert names(plane) == [["a.png"]]

    clock.advance(60)
    again = [drop(plane, volume_id, name, b"") for name in ("b.png", "_SUCCESS")]
    later(plane, volume_id, "_SUCCESS")
    deliver(plane, again)
    deliver(plane, again)

    assert names(plane) == [["a.png"], ["b.png"]]


def later(plane: Plane, volume_id: int, name: str) -> None:
    """Let a file be a minute younger than it is: two writes may share a tick of the disk's."""
    path = Path(plane.ports.blobs.uri(f"a/volumes/{volume_id}/").removeprefix("file://")) / name
    stat = path.stat()
    os.utime(path, (stat.st_atime + 60, stat.st_mtime + 60))


def test_a_marker_of_nothing_new_says_so(plane: Plane) -> None:
    volume_id = watched(plane, marker="_SUCCESS")

    deliver(plane, [drop(plane, volume_id, "_SUCCESS")])

    assert jobs(plane) == []
    assert history(plane, volume_id)["_SUCCESS"] == ("ignored", None, starters.NOTHING_LEFT)


def test_many_files_are_taken_page_by_page_into_one_job(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starters, "PAGE_FILES", 3)
    volume_id = watched(plane, marker="_SUCCESS")
    wanted = [f"{number:02}.png" for number in range(10)]
    for name in wanted:
        drop(plane, volume_id, name)

    deliver(plane, [drop(plane, volume_id, "_SUCCESS")])
    while plane.ports.queue.depth(DROPS):
        assert arrive(plane) == []

    assert sorted(name for some in names(plane) for name in some) == wanted
    assert len(jobs(plane)) == 1
    assert history(plane, volume_id)["_SUCCESS"][:2] == ("starter", 1)


def test_a_manifest_lists_what_is_predicted(plane: Plane) -> None:
    volume_id = watched(plane, manifest="list.txt")
    landed = ("in/a b.png", "in/c.png", "d.png")
    deliver(plane, [drop(plane, volume_id, name) for name in landed])
    listed = b"d.png\r\nin/a b.png\n\nd.png\nnone.png\nbad//name\nlist.txt\n"

    deliver(plane, [drop(plane, volume_id, "list.txt", listed)])

    assert names(plane) == [["d.png", "in/a b.png"]]
    told = history(plane, volume_id)
    assert told["in/c.png"][0] == "waiting"
    assert told["none.png"] == ("ignored", None, "A manifest lists it, and it is absent.")
    assert "cannot be stored" in told["bad//name"][2]
    assert told["list.txt"][:2] == ("starter", 1)


def test_a_long_manifest_is_taken_page_by_page(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starters, "PAGE_FILES", 4)
    volume_id = watched(plane, manifest="list.txt", max_files=5)
    wanted = [f"{number:02}.png" for number in range(11)]
    for name in wanted:
        drop(plane, volume_id, name)

    deliver(plane, [drop(plane, volume_id, "list.txt", "\n".join(wanted).encode())])
    while plane.ports.queue.depth(DROPS):
        assert arrive(plane) == []

    assert sorted(name for some in names(plane) for name in some) == wanted
    assert max(map(len, names(plane))) <= 5


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\xff\n", "The manifest is not UTF-8."),
        (b"x" * (starters.MAX_MANIFEST_BYTES + 1), "A manifest has at most"),
    ],
)
def test_a_manifest_that_cannot_be_read_is_told(plane: Plane, data: bytes, why: str) -> None:
    volume_id = watched(plane, manifest="list.txt")

    assert deliver(plane, [drop(plane, volume_id, "list.txt", data)]) == []

    assert jobs(plane) == []
    assert why in history(plane, volume_id)["list.txt"][2]


def test_a_page_of_a_marker_that_was_written_again_is_left_to_the_new_one(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starters, "PAGE_FILES", 2)
    volume_id = watched(plane, marker="_SUCCESS")
    for name in ("1", "3", "5"):
        drop(plane, volume_id, name)
    deliver(plane, [drop(plane, volume_id, "_SUCCESS")])
    drop(plane, volume_id, "0")
    again = drop(plane, volume_id, "_SUCCESS", b"other")

    arrive(plane)
    deliver(plane, [again])
    while plane.ports.queue.depth(DROPS):
        arrive(plane)

    assert sorted(name for some in names(plane) for name in some) == ["0", "1", "3", "5"]


def test_an_event_of_a_marker_that_is_gone_does_nothing(plane: Plane) -> None:
    volume_id = watched(plane, marker="_SUCCESS")

    assert deliver(plane, [created(f"a/volumes/{volume_id}/_SUCCESS")]) == []

    assert jobs(plane) == []
