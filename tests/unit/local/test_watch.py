from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from hookline.core.ports import Ports
from hookline.core.records import Serving, Tenant, Volume
from hookline.core.topology import DROPS
from hookline.core.triggers import Drop, Trigger
from hookline.local.watch import (
    LOOK_EVERY_S,
    Watcher,
    is_being_written,
    is_whole,
    landed_at,
    rest_after,
)
from hookline.staging.volumes import local_path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "in box"
    made.mkdir()
    return made


def watched(ports: Ports, folder: Path | None, *, since: float) -> Volume:
    """A volume with a trigger: linked to `folder`, or uploaded when there is none."""
    link = folder.as_uri() if folder else ""
    volume = Volume(tenant="acme", id=3, name="v", link=link, created_at=since)
    trigger = Trigger(
        tenant="acme", id=1, volume_id=3, model_id=1, serving=Serving(), created_at=since
    )
    ports.catalog.put(Tenant(name="acme", created_at=since))
    ports.catalog.put(volume)
    ports.catalog.put(trigger)
    return volume


def reported(ports: Ports) -> list[str]:
    """The keys of the events on the drops queue, taken."""
    keys = []
    while leases := ports.queue.receive(DROPS, 10, lease_s=60):
        for lease in leases:
            keys.append(json.loads(lease.body)["detail"]["object"]["key"])
            ports.queue.ack(lease)
    return sorted(keys)


def test_a_file_that_landed_is_reported_once_it_stood_still(ports: Ports, folder: Path) -> None:
    watched(ports, folder, since=time.time())
    watcher = Watcher(ports)
    watcher.look()
    (folder / "a.png").write_bytes(b"x")
    watcher.look()
    assert reported(ports) == []
    watcher.look()
    assert reported(ports) == [f"{folder.as_uri()}/a.png"]
    watcher.look()
    assert reported(ports) == []


def test_a_folder_that_takes_long_to_look_at_is_looked_at_less_often() -> None:
    assert rest_after(0.0) == rest_after(0.05) == LOOK_EVERY_S
    for look_s in (0.1, 0.5, 3.0, 60.0):
        assert look_s / (look_s + rest_after(look_s)) <= 0.1


def test_files_that_were_there_before_the_trigger_are_left_alone(
    ports: Ports, folder: Path
) -> None:
    (folder / "old.png").write_bytes(b"x")
    watched(ports, folder, since=time.time() + 60)
    watcher = Watcher(ports)
    for _ in range(3):
        watcher.look()
    assert reported(ports) == []


def test_a_file_that_landed_while_nobody_looked_is_reported(ports: Ports, folder: Path) -> None:
    watched(ports, folder, since=time.time())
    (folder / "missed.png").write_bytes(b"x")
    os.utime(folder / "missed.png", (0, 0))  # copied with its old time
    watcher = Watcher(ports)
    watcher.look()
    watcher.look()
    assert reported(ports) == [f"{folder.as_uri()}/missed.png"]


def test_a_file_that_is_still_open_for_writing_is_not_reported(ports: Ports, folder: Path) -> None:
    watched(ports, folder, since=time.time())
    watcher = Watcher(ports)
    watcher.look()
    with (folder / "slow.png").open("wb") as writer:
        writer.write(b"half")
        writer.flush()
        for _ in range(3):
            watcher.look()
        assert reported(ports) == []
        writer.write(b" and half")
    watcher.look()
    watcher.look()
    assert reported(ports) == [f"{folder.as_uri()}/slow.png"]


def test_another_version_of_a_file_is_reported_again(ports: Ports, folder: Path) -> None:
    watched(ports, folder, since=time.time())
    watcher = Watcher(ports)
    for text in (b"one", b"three"):
        (folder / "a.png").write_bytes(text)
        watcher.look()
        watcher.look()
    assert len(reported(ports)) == 2


def test_a_file_copied_into_an_uploaded_volume_is_reported_by_its_key(
    ports: Ports, tmp_path: Path
) -> None:
    volume = watched(ports, None, since=time.time())
    watcher = Watcher(ports)
    watcher.look()
    (tmp_path / "a.png").write_bytes(b"x")
    shutil.copy(tmp_path / "a.png", local_path(ports.blobs.uri(volume.prefix)))
    watcher.look()
    watcher.look()
    assert reported(ports) == [f"{volume.prefix}a.png"]


def test_a_removed_file_is_forgotten_and_reported_when_it_comes_back(
    ports: Ports, folder: Path
) -> None:
    watched(ports, folder, since=time.time())
    watcher = Watcher(ports)
    for _ in range(2):
        (folder / "a.png").write_bytes(b"x")
        watcher.look()
        watcher.look()
        (folder / "a.png").unlink()
        watcher.look()
    assert len(reported(ports)) == 2


def history(ports: Ports) -> dict[str, str]:
    return {drop.name: drop.reason for drop in ports.catalog.query(Drop, "acme").items}


def test_what_lands_and_is_no_input_is_told_in_the_history_once(ports: Ports, folder: Path) -> None:
    watched(ports, folder, since=time.time())
    watcher = Watcher(ports)
    watcher.look()
    (folder / "sub").mkdir()
    (folder / "sub" / "link.png").symlink_to(folder)
    (folder / "sub" / os.fsdecode(b"bad\xff.png")).touch()
    (folder / ".git").mkdir()
    (folder / ".git" / "config").touch()
    (folder / ".DS_Store").touch()
    os.mkfifo(folder / "pipe")
    for _ in range(3):
        watcher.look()

    assert reported(ports) == []
    assert {name: reason.split()[-1] for name, reason in history(ports).items()} == {
        ".DS_Store": "dot.",
        ".git": "dot.",
        "pipe": "folder.",
        "sub/bad\\udcff.png": "it.",
        "sub/link.png": "followed.",
    }


def test_what_was_no_input_before_the_trigger_is_left_alone(ports: Ports, folder: Path) -> None:
    (folder / "link").symlink_to(folder)
    watched(ports, folder, since=time.time() + 60)
    watcher = Watcher(ports)
    watcher.look()
    watcher.look()

    assert history(ports) == {}


def test_a_link_that_becomes_a_file_is_reported(ports: Ports, folder: Path) -> None:
    watched(ports, folder, since=time.time())
    watcher = Watcher(ports)
    (folder / "a.png").symlink_to(folder)
    watcher.look()
    (folder / "a.png").unlink()
    (folder / "a.png").write_bytes(b"x")
    watcher.look()
    watcher.look()

    assert list(history(ports)) == ["a.png"]
    assert reported(ports) == [f"{folder.as_uri()}/a.png"]


def test_a_closed_file_is_not_being_written(folder: Path) -> None:
    path = folder / "a"
    path.write_bytes(b"x")
    assert not is_being_written(path)
    with path.open("ab"):
        assert is_being_written(path)
    assert not is_being_written(path)


@pytest.mark.parametrize("ahead_s", [-86400, 86400])
def test_a_file_landed_when_it_changed_or_when_it_says_if_that_is_earlier(
    ports: Ports, folder: Path, ahead_s: int
) -> None:
    path = folder / "a.png"
    path.write_bytes(b"x")
    now = path.stat().st_mtime
    os.utime(path, (now + ahead_s, now + ahead_s))
    blobs = ports.linked(folder.as_uri())
    [info] = blobs.list("").items
    said = landed_at(blobs, info)
    assert said == pytest.approx(now + min(ahead_s, 0), abs=60)
    path.unlink()
    assert landed_at(blobs, info) == 0


def test_a_file_is_whole_once_nobody_writes_it(ports: Ports, folder: Path) -> None:
    blobs = ports.linked(folder.as_uri())
    with (folder / "a b.png").open("wb"):
        [info] = blobs.list("").items
        assert not is_whole(blobs, info)
    assert is_whole(blobs, info)
