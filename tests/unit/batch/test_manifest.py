from __future__ import annotations

import json
from pathlib import Path

import pytest

from hookline.batch import manifest
from hookline.core.errors import InvalidInput, NotFound
from hookline.core.ports import Ports
from hookline.core.records import Job, Serving, Shard, Volume
from tests.unit.batch.world import TENANT, World


def frozen(world: World, job: Job, volume: Volume) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    for shard in manifest.freeze(world.ports, job, volume):
        entries = manifest.entries_of(world.ports.blobs, shard)
        assert (shard.first, shard.count) == (len(found), len(entries))
        found += [(entry.index, entry.name) for entry in entries]
    return found


@pytest.fixture
def job() -> Job:
    return Job(
        tenant=TENANT,
        id=21,
        model_id=2,
        volume_id=56,
        serving=Serving(),
        created_at=0.0,
        updated_at=0.0,
    )


def test_names_are_in_utf8_byte_order_and_numbered_from_zero(world: World, job: Job) -> None:
    names = ["é", "a", "Z", "d/b", "d.b", "\uff5e", "\U0001f600", "10", "9"]
    volume = world.volume(dict.fromkeys(names, b"x"))

    assert frozen(world, job, volume) == list(enumerate(sorted(names, key=str.encode)))


def test_the_first_shards_are_small_so_that_few_files_keep_every_worker_busy() -> None:
    assert [manifest.max_files(index) for index in (0, 3, 4, 8, 12, 16, 10_000)] == [
        16,
        16,
        32,
        64,
        128,
        256,
        1024,
    ]
    assert manifest.max_files(10_000, "lines") == 4096


def test_a_shard_is_full_when_its_bytes_are(
    world: World, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest, "MAX_SHARD_BYTES", 10)
    volume = world.volume({f"{n}": b"12345" for n in range(5)})

    assert [shard.count for shard in manifest.freeze(world.ports, job, volume)] == [2, 2, 1]


def test_an_empty_volume_has_no_shards(world: World, job: Job) -> None:
    assert frozen(world, job, world.volume({})) == []


def test_a_linked_folder_is_listed_where_it_is(world: World, job: Job, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    (folder / "sub").mkdir(parents=True)
    for name in ("b.png", "a.png", "sub/c.png", ".hidden"):
        (folder / name).write_bytes(b"x")
    volume = world.volume({}, link=folder.as_uri())

    assert frozen(world, job, volume) == list(enumerate(["a.png", "b.png", "sub/c.png"]))


def test_every_planner_gets_the_manifest_that_was_frozen_first(world: World, job: Job) -> None:
    volume = world.volume({f"{n:03}": b"x" for n in range(40)})
    first = frozen(world, job, volume)
    world.ports.blobs.put(volume.prefix + "000a", b"new")
    world.ports.blobs.put(volume.prefix + "zzz", b"new")
    world.ports.blobs.delete(volume.prefix + "020")

    assert frozen(world, job, volume) == first


def test_a_planner_goes_on_where_another_died(world: World, job: Job) -> None:
    volume = world.volume({f"{n:03}": b"x" for n in range(40)})
    dying = manifest.freeze(world.ports, job, volume)
    next(dying)
    world.ports.blobs.put(volume.prefix + "000a", b"too late: its place is frozen")
    world.ports.blobs.put(volume.prefix + "016a", b"in time")

    found = [name for _, name in frozen(world, job, volume)]

    assert found == sorted([*(f"{n:03}" for n in range(40)), "016a"])


def test_two_planners_at_once_agree(world: World, job: Job) -> None:
    volume = world.volume({f"{n:03}": b"x" for n in range(40)})
    slow = manifest.freeze(world.ports, job, volume)
    slowly = [next(slow)]
    world.ports.blobs.delete(volume.prefix + "018")
    quickly = list(manifest.freeze(world.ports, job, volume))
    world.ports.blobs.put(volume.prefix + "018", b"x")
    world.ports.blobs.put(volume.prefix + "zzz", b"x")

    slowly += slow

    assert slowly == quickly
    assert sum(shard.count for shard in quickly) == 39


def test_a_job_of_some_files_has_just_those(world: World, job: Job, ports: Ports) -> None:
    volume = world.volume({"a": b"x", "b": b"x", "c": b"x"})
    lines = [{"name": name, "size": 1, "etag": "e"} for name in ("c", "gone", "a", "c")]
    ports.blobs.put("acme/drops/1.jsonl", "\n".join(map(json.dumps, lines)).encode())

    found = frozen(world, job.changed(only="acme/drops/1.jsonl"), volume)

    assert found == [(0, "a"), (1, "c"), (2, "gone")]


def test_a_lost_or_malformed_list_of_files_says_so(world: World, job: Job, ports: Ports) -> None:
    volume = world.volume({"a": b"x"})
    with pytest.raises(NotFound, match="The list of the job's files is gone"):
        frozen(world, job.changed(only="acme/drops/1.jsonl"), volume)

    ports.blobs.put("acme/drops/1.jsonl", b"not json")
    with pytest.raises(InvalidInput, match="malformed"):
        frozen(world, job.changed(only="acme/drops/1.jsonl"), volume)


def test_the_lines_are_the_documented_ones(world: World, job: Job) -> None:
    volume = world.volume({"a": b"xyz"})
    list(manifest.freeze(world.ports, job, volume))
    shard = Shard(tenant=TENANT, job_id=21, index=0, first=0, count=1)

    with world.ports.blobs.open(shard.manifest_key) as file:
        line = json.loads(file.read())

    assert (line["i"], line["name"], line["size"]) == (0, "a", 3)
    assert line["etag"]
