from __future__ import annotations

import json
import os
from pathlib import Path
from urllib.parse import quote

import pytest

from hookline.control.sightings import HIDDEN
from hookline.core.records import volume_prefix
from hookline.core.topology import PLAN, RECONCILE
from hookline.core.triggers import Drop
from tests.unit.control.content import imported
from tests.unit.control.dropping import created, deliver, drop, files, history, jobs, watched
from tests.unit.control.events import Plane


def test_files_that_landed_become_one_job(plane: Plane) -> None:
    volume_id = watched(plane, formatter="classification")
    events = [drop(plane, volume_id, name, b"123") for name in ("b.png", "a.png")]

    assert deliver(plane, events) == []

    [job] = jobs(plane)
    assert (job.status, job.trigger_id, job.model_id, job.volume_id) == ("Received", 1, 1, 1)
    assert job.serving.formatter == "classification"
    listed = files(plane, job)
    assert [(file["name"], file["size"]) for file in listed] == [("a.png", 3), ("b.png", 3)]
    assert all(set(file) == {"name", "size", "etag"} for file in listed)


def test_the_job_is_planned_and_workers_are_called(plane: Plane) -> None:
    volume_id = watched(plane)

    deliver(plane, [drop(plane, volume_id, "a.png")])

    assert plane.take(PLAN) == [{"tenant": "a", "job_id": 1}]
    assert plane.take(RECONCILE) == [{}]


def test_the_history_says_which_job_a_file_went_to(plane: Plane) -> None:
    volume_id = watched(plane)

    deliver(plane, [drop(plane, volume_id, "a.png", b"123")])

    [seen] = plane.shown(f"/v1/volumes/{volume_id}/drops")["items"]
    assert seen == {
        "trigger_id": 1,
        "name": "a.png",
        "size_bytes": 3,
        "outcome": "taken",
        "job_id": 1,
        "reason": "",
        "seen_at": "2023-11-14T22:13:20Z",
    }


def test_a_doubled_event_makes_one_job(plane: Plane) -> None:
    volume_id = watched(plane)
    event = drop(plane, volume_id, "a.png")

    deliver(plane, [event, event])
    deliver(plane, [event])

    assert len(jobs(plane)) == 1
    assert len(files(plane, jobs(plane)[0])) == 1


def test_another_version_of_a_file_is_another_job(plane: Plane) -> None:
    volume_id = watched(plane)

    deliver(plane, [drop(plane, volume_id, "a.png", b"old")])
    deliver(plane, [drop(plane, volume_id, "a.png", b"newer")])

    assert [files(plane, job)[0]["size"] for job in jobs(plane)] == [3, 5]


def test_an_overwritten_file_is_predicted_as_it_is_now_and_once(plane: Plane) -> None:
    volume_id = watched(plane)
    events = [drop(plane, volume_id, "a.png", data) for data in (b"old", b"newer")]

    deliver(plane, events[:1])
    deliver(plane, events[1:])

    assert [files(plane, job)[0]["size"] for job in jobs(plane)] == [5]


def test_an_event_before_its_file_waits_for_the_next(plane: Plane) -> None:
    volume_id = watched(plane)
    early = created(volume_prefix("a", volume_id) + "a.png")

    assert deliver(plane, [early]) == []
    assert jobs(plane) == []

    deliver(plane, [drop(plane, volume_id, "a.png")])
    assert len(jobs(plane)) == 1


@pytest.mark.parametrize(
    "key",
    [
        "a/volumes/1/folder/",
        "a/volumes/1/",
        "a/jobs/1/results.csv",
        "a/uploads/0",
        "a/triggers/1/x.jsonl",
        "b/volumes/1/a.png",
        "a/volumes/2/a.png",
        "a/volumes/x/a.png",
        "volumes/1/a.png",
        "",
        "file:///tmp/a.png",
    ],
)
def test_what_is_no_file_of_a_watched_volume_is_ignored(plane: Plane, key: str) -> None:
    watched(plane)

    assert deliver(plane, [created(key)]) == []
    assert jobs(plane) == []


def test_a_key_of_another_bucket_is_not_ours_however_it_looks(plane: Plane) -> None:
    volume_id = watched(plane)
    drop(plane, volume_id, "a.png")

    key = volume_prefix("a", volume_id) + "a.png"

    assert deliver(plane, [created(key, bucket="others")]) == []
    assert jobs(plane) == []


def test_other_events_are_ignored(plane: Plane) -> None:
    watched(plane)
    deleted = json.dumps({"source": "aws.s3", "detail-type": "Object Deleted", "detail": {}})

    assert deliver(plane, [deleted]) == []


def test_a_malformed_message_fails_alone(plane: Plane) -> None:
    volume_id = watched(plane)
    good = drop(plane, volume_id, "a.png")

    assert deliver(plane, ["{", good, created("x").replace('"key"', '"kee"')]) == ["0", "2"]
    assert len(jobs(plane)) == 1


def test_a_trigger_that_was_turned_off_makes_no_job(plane: Plane) -> None:
    volume_id = watched(plane)
    plane("DELETE", f"/v1/volumes/{volume_id}/triggers")

    deliver(plane, [drop(plane, volume_id, "a.png")])

    assert jobs(plane) == []


def test_every_trigger_of_a_volume_gets_its_own_job(plane: Plane) -> None:
    volume_id = watched(plane)
    plane.made(f"/v1/volumes/{volume_id}/triggers", {"model_id": 1, "formatter": "classification"})

    deliver(plane, [drop(plane, volume_id, "a.png")])

    assert [job.trigger_id for job in jobs(plane)] == [1, 2]


def test_a_burst_becomes_one_job_however_many_transactions_it_takes(plane: Plane) -> None:
    volume_id = watched(plane)
    names = [f"{number:03}.png" for number in range(200)]
    events = [drop(plane, volume_id, name) for name in names]

    assert deliver(plane, events) == []

    assert [[file["name"] for file in files(plane, job)] for job in jobs(plane)] == [names]


def test_a_burst_becomes_few_jobs_and_every_file_is_in_one(plane: Plane) -> None:
    volume_id = watched(plane, max_files=90)
    names = [f"{number:03}.png" for number in range(200)]
    events = [drop(plane, volume_id, name) for name in names]

    assert deliver(plane, events) == []

    found = [[file["name"] for file in files(plane, job)] for job in jobs(plane)]
    assert [len(some) for some in found] == [90, 90, 20]
    assert sorted(name for some in found for name in some) == names


@pytest.mark.parametrize(
    "name", ["a b+c.png", "ü/ñ.png", "100%.png", 'q"u,o\nte.png', "%2e%2e.png", "deep/er/x.png"]
)
def test_any_name_arrives_as_it_is(plane: Plane, name: str) -> None:
    volume_id = watched(plane)

    deliver(plane, [drop(plane, volume_id, name)])

    assert files(plane, jobs(plane)[0])[0]["name"] == name


def linked(plane: Plane, folder: Path) -> None:
    """A watched volume that links a new folder."""
    folder.mkdir()
    imported(plane)
    volume = plane.made("/v1/volumes", {"name": "v", "link": str(folder)})
    plane.made(f"/v1/volumes/{volume['id']}/triggers", {"model_id": 1})


@pytest.mark.parametrize("name", ["a.png", "sub/b c.png", "ü%.png"])
def test_files_of_a_linked_folder_are_found_by_their_uri(
    plane: Plane, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "my pictures"
    linked(plane, folder)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"12")

    assert deliver(plane, [created(f"{folder.as_uri()}/{quote(name)}")]) == []

    assert [(f["name"], f["size"]) for f in files(plane, jobs(plane)[0])] == [(name, 2)]


def test_a_folder_with_a_longer_name_is_another_folder(plane: Plane, tmp_path: Path) -> None:
    linked(plane, tmp_path / "pictures")

    deliver(plane, [created(f"{(tmp_path / 'pictures2').as_uri()}/a.png")])

    assert jobs(plane) == []


def test_a_linked_folder_that_went_away_is_no_failure(plane: Plane, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    linked(plane, folder)
    os.rmdir(folder)  # noqa: PTH106 - the folder is empty

    assert deliver(plane, [created(f"{folder.as_uri()}/a.png")]) == []


def test_a_retry_after_half_the_work_makes_the_rest(plane: Plane) -> None:
    volume_id = watched(plane)
    first, second = (drop(plane, volume_id, name) for name in ("a.png", "b.png"))
    deliver(plane, [first])

    deliver(plane, [first, second])

    assert [[f["name"] for f in files(plane, job)] for job in jobs(plane)] == [
        ["a.png"],
        ["b.png"],
    ]
    assert len(plane.ports.catalog.query(Drop, "a").items) == 2


def test_a_name_that_cannot_be_kept_is_told_and_harms_no_other(plane: Plane) -> None:
    volume_id = watched(plane)
    good = drop(plane, volume_id, "a.png")
    bad = created(volume_prefix("a", volume_id) + "b//c.png")

    assert deliver(plane, [bad, good]) == []

    assert [file["name"] for job in jobs(plane) for file in files(plane, job)] == ["a.png"]
    history = plane.shown(f"/v1/volumes/{volume_id}/drops")["items"]
    told = {item["name"]: (item["job_id"], item["reason"]) for item in history}
    assert told["a.png"] == (1, "")
    assert told["b//c.png"][0] is None
    assert "cannot be stored" in told["b//c.png"][1]


def test_names_that_cannot_be_kept_make_no_job(plane: Plane) -> None:
    volume_id = watched(plane)
    bad = created(volume_prefix("a", volume_id) + "b//c.png")

    for _ in range(2):
        assert deliver(plane, [bad]) == []

    assert jobs(plane) == []
    assert len(plane.shown(f"/v1/volumes/{volume_id}/drops")["items"]) == 1


@pytest.mark.parametrize("name", [".DS_Store", ".git/config", "a/.b", ".z"])
def test_a_dotfile_is_ignored_and_the_history_says_so(plane: Plane, name: str) -> None:
    volume_id = watched(plane)

    deliver(plane, [drop(plane, volume_id, name), drop(plane, volume_id, "a.png")])

    assert history(plane, volume_id)[name] == ("ignored", None, HIDDEN)
    [job] = jobs(plane)
    assert [file["name"] for file in files(plane, job)] == ["a.png"]
