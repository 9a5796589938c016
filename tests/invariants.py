"""The promises of a batch job, checked from outside: every batch, fault and soak test calls this.

I1: the CSV has one row per file of the manifest, in its order. I2: the counts add up. I3: a job
only moves along the allowed graph and its `updated_at` never goes back. I4: the published file has
the size and the SHA-256 that the job declares.
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Sequence
from hashlib import sha256
from itertools import pairwise

from hookline.batch.verify import verify
from hookline.core.ports import Ports
from hookline.core.records import Job, Shard, number
from hookline.core.sheets import cell

MOVES: dict[str, frozenset[str]] = {
    "Received": frozenset({"Queued", "Stopping", "Failed"}),
    "Queued": frozenset({"Running", "Stopping", "Completed", "CompletedWithErrors", "Failed"}),
    "Running": frozenset({"Stopping", "Completed", "CompletedWithErrors", "Failed"}),
    "Stopping": frozenset({"Stopped", "Failed"}),
    "Stopped": frozenset(),
    "Completed": frozenset(),
    "CompletedWithErrors": frozenset(),
    "Failed": frozenset(),
}


def csv_rows(ports: Ports, job: Job) -> list[list[str]]:
    """The cells of the published CSV, read as any other program would."""
    csv.field_size_limit(sys.maxsize)
    with ports.blobs.open(job.results_key) as file:
        return list(csv.reader(io.StringIO(file.read().decode(), newline=""), strict=True))


def check_job(ports: Ports, job: Job, names: Sequence[str] | None = None) -> None:
    """Fail unless the stored job keeps its promises; `names`: its files, in any order."""
    report = verify(ports, job)
    assert report.is_exact, report.problems
    assert report.succeeded + report.failed + report.pending == report.total
    if names is not None and job.shards:
        assert report.total == len(names)
    if job.status in ("Completed", "CompletedWithErrors"):
        assert report.pending == 0
        assert job.status == ("CompletedWithErrors" if report.failed else "Completed")
    if job.results_key and job.output_format == "csv":
        _check_csv(ports, job, names)
    assert bool(job.results_key) == (job.has_ended and job.status != "Failed")
    assert (job.failure is not None) == (job.status == "Failed")


def _check_csv(ports: Ports, job: Job, names: Sequence[str] | None) -> None:
    with ports.blobs.open(job.results_key) as file:
        data = file.read()
    assert len(data) == job.results_size_bytes
    assert sha256(data).hexdigest() == job.results_sha256
    rows = csv_rows(ports, job)
    assert len(rows) == job.succeeded + job.failed
    error = bool(job.failed) or "error" in job.include
    assert {len(row) for row in rows} <= {2 + error + ("timing" in job.include) + job.joins_input}
    if names is None:
        return
    in_order = [cell(name) for name in sorted(names, key=str.encode)]
    paths = [row[0] for row in rows]
    if job.status == "Stopped":
        at = iter(in_order)
        assert all(path in at for path in paths)  # some of them, in their order
    else:
        assert paths == in_order


def check_shards(ports: Ports, job: Job) -> None:
    """I2 at any moment: what the shards say never exceeds what the manifest holds."""
    shards = ports.catalog.query(Shard, job.tenant, prefix=number(job.id) + "/", limit=1000).items
    for shard in shards:
        assert shard.succeeded + shard.failed <= shard.count
        assert shard.is_done or shard.succeeded == shard.failed == 0


def check_moves(history: Sequence[Job]) -> None:
    """I3, over every version of one job that was stored, in their order."""
    for before, after in pairwise(history):
        if after.status != before.status:
            assert after.status in MOVES[before.status], (before.status, after.status)
        assert after.updated_at >= before.updated_at
        assert not before.has_ended
