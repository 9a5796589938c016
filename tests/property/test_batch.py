"""Whatever the volume holds and whatever goes wrong: one row per file of the manifest, in order."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hookline.batch import manifest
from hookline.core.rows import Row, RowError, decoded, encoded
from hookline.core.topology import SHARDS
from tests.invariants import check_job, check_moves, check_shards, csv_rows
from tests.unit.batch.cloud import Cloud
from tests.unit.batch.faulty import MODES, Mode

NAMES = (
    st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=40
    )
    .map(lambda name: f"dot{name}" if name.startswith(".") else name)
    .filter(lambda name: len(name.encode()) <= 200)
)
BODIES = st.sampled_from([b"", b"x", b"-1, 2", b"=1+1", b"bad", b"crash"])
VOLUMES = st.dictionaries(NAMES, BODIES, max_size=30)
FAULTS = st.dictionaries(st.integers(1, 300), st.sampled_from(MODES), max_size=4)
ACTIONS = st.sampled_from(["plan", "work 0", "work 1", "finish", "wait", "again", "stop"])


def act(cloud: Cloud, action: str) -> None:
    match action:
        case "plan":
            cloud.plan()
        case "work 0":
            cloud.work(0)
        case "work 1":
            cloud.work(1)
        case "finish":
            cloud.finish()
        case "wait":
            cloud.clean.clock.advance(61)
        case "again":  # deliver what waits twice, in another order
            leases = cloud.clean.ports.queue.receive(SHARDS, 3, lease_s=60)
            cloud.clean.ports.queue.send(SHARDS, [lease.body for lease in reversed(leases)])
        case "stop":
            if cloud.clean.job().status in ("Received", "Queued", "Running"):
                cloud.clean.stop()


def check(cloud: Cloud, files: dict[str, bytes], faults: dict[int, Mode]) -> None:
    job = cloud.clean.job()
    check_job(cloud.clean.ports, job, list(files))
    check_moves(cloud.clean.recorder.jobs)
    assert job.status in ("Completed", "CompletedWithErrors", "Stopped")
    if job.status != "Stopped" and sum("killed" in mode for mode in faults.values()) <= 1:
        assert job.failed == sum(body in (b"bad", b"crash") for body in files.values())
    codes = {row[2].partition(":")[0] for row in csv_rows(cloud.clean.ports, job) if row[2:]}
    assert codes <= {"", "hook_failed", "hook_crashed"}


def run(
    files: dict[str, bytes], first_shard: int, faults: dict[int, Mode], actions: list[str]
) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest, "FIRST_SHARD_FILES", first_shard)
        cloud = Cloud(Path(folder), files, faults)
        cloud.clean.submit()
        for action in actions:
            act(cloud, action)
            check_shards(cloud.clean.ports, cloud.clean.job())
        cloud.settle()
        cloud.close()
        check(cloud, files, faults)


@settings(max_examples=20, deadline=None)
@given(VOLUMES, st.integers(1, 8), FAULTS, st.lists(ACTIONS, max_size=20))
def test_every_file_is_one_row_in_order(
    files: dict[str, bytes], first_shard: int, faults: dict[int, Mode], actions: list[str]
) -> None:
    run(files, first_shard, faults, actions)


@pytest.mark.faults
@pytest.mark.timeout(900)
@settings(max_examples=500, deadline=None)
@given(VOLUMES, st.integers(1, 8), FAULTS, st.lists(ACTIONS, max_size=40))
def test_every_file_is_one_row_in_order_however_long_we_try(
    files: dict[str, bytes], first_shard: int, faults: dict[int, Mode], actions: list[str]
) -> None:
    run(files, first_shard, faults, actions)


ROWS = st.lists(
    st.builds(
        Row,
        index=st.integers(0, 2**40),
        name=NAMES,
        output=st.none() | st.text(st.characters(exclude_categories=["Cs"])),
        error=st.none() | st.builds(RowError, code=st.just("hook_failed"), message=NAMES),
    )
)


@given(ROWS)
def test_rows_survive_their_part(rows: list[Row]) -> None:
    assert list(decoded(encoded(rows).splitlines())) == rows
