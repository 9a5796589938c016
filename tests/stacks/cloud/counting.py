"""Counts the requests that hookline makes of AWS, at two sizes of everything that may grow.

Left out is what depends on how quick things are: a worker extends its lease every 5 s, and looks
every half second whether its job stops, and keeps its rows every 10 s; the schedule looks for
overdue jobs every five minutes.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hookline.batch.manifest import MAX_SHARD_FILES, max_files
from hookline.batch.worker import Worker
from hookline.core.records import Job, Stream, volume_prefix
from hookline.gateway.load import Report
from hookline.gateway.routing import RoutingTable
from hookline.gateway.teller import Teller
from tests.stacks.cloud import client, story
from tests.stacks.cloud.cloud import Cloud, cloud
from tests.stacks.cloud.played import TENANT
from tests.stacks.cloud.processes import Echo, ports_of
from tests.stacks.cloud.tenant import Tenant

KINDS = {
    "DynamoDB reads": ("dynamodb:GetItem", "dynamodb:Query"),
    "DynamoDB writes": (
        *("dynamodb:PutItem", "dynamodb:DeleteItem"),
        "dynamodb:TransactWriteItems",
    ),
    "S3 reads": ("s3:GetObject", "s3:HeadObject"),
    "S3 writes and lists": ("s3:PutObject", "s3:ListObjectsV2", "s3:DeleteObject"),
    "SQS": ("sqs:SendMessageBatch", "sqs:ReceiveMessage", "sqs:DeleteMessage"),
    "ECS": (
        *("ecs:CreateService", "ecs:DescribeServices", "ecs:DescribeTasks"),
        *("ecs:ListServices", "ecs:ListTasks"),
    ),
}
LEFT_OUT = frozenset({"sqs:ChangeMessageVisibility"})
SIZES = (4, 12, 20, 52)  # files: 1, 1, 2 and 4 shards

Counts = dict[str, int]


@dataclass
class Counting:
    cloud: Cloud
    tenant: Tenant
    model_id: int = 0

    def of(self, action: Callable[[], object]) -> Counts:
        """The requests of one action, by kind."""
        recorder = self.cloud.account.recorder
        start = len(recorder.requests)
        action()
        counted: Counter[str] = Counter()
        for one in recorder.requests[start:]:
            if one.operation not in LEFT_OUT and "by link" not in one.operation:
                counted[_kind(one.operation)] += 1
        return {kind: counted[kind] for kind in KINDS}


def table(assembly: Path, folder: Path) -> dict[str, Counts]:
    """Each row of the table, by what it counts."""
    with cloud(assembly, folder, [TENANT]) as found, pytest.MonkeyPatch.context() as patch:
        patch.setattr("hookline.batch.watch.LOOK_S", 1e9)
        patch.setattr("hookline.batch.journal.SAVE_EVERY_S", 1e9)
        patch.setattr("hookline.control.overdue.SWEEP_EVERY_S", 1e12)
        counting = Counting(found, found.tenants[TENANT])
        counting.model_id = client.imported(counting.tenant, story.MODEL)
        found.settle()
        return _of_streams(counting) | _of_batches(counting)


def _kind(operation: str) -> str:
    return next(kind for kind, operations in KINDS.items() if operation in operations)


# --- streams ---------------------------------------------------------------------------------


def _of_streams(counting: Counting) -> dict[str, Counts]:
    """Of deployments whose tasks start at once, later, and later still."""
    empty = counting.of(counting.tenant.tick)
    found = [_deployment(counting, waits_s) for waits_s in (9, 4, 0)]
    (_, _, last), (_, _, later), (made, token, at_once) = found
    running = counting.of(counting.tenant.tick)
    gateway = ports_of(counting.tenant, "gateway")
    teller = Teller(gateway.catalog, gateway.queue, gateway.clock)
    load = Report(TENANT, made, in_flight=1.0, waiting=0, is_urgent=False)
    table = RoutingTable(gateway.catalog, timer=lambda: 0.0)
    counts = {
        "the first predict call of a second": counting.of(lambda: table.resolve(token)),
        "1,000 others in the same second": counting.of(
            lambda: [_routed(table, token) for _ in range(1000)]
        ),
        "each 10 s of a load on a stream that scales": counting.of(lambda: teller.tell([load])),
        "a deployment": at_once,
        "each second until its task is healthy": _less(last, later, shared_by=5),
        "a minute of a tenant": empty,
        "a minute of a stream that runs": _less(running, empty),
    }
    counting.tenant.tick()  # removes the load, which would cost the first batch a write
    return counts


def _routed(table: RoutingTable, token: str) -> object:
    """As the gateway does it: it asks the catalog only for what is not kept."""
    return table.kept(token) or table.resolve(token)


def _deployment(counting: Counting, waits_s: int) -> tuple[int, str, Counts]:
    """From the request until it runs, when nothing else does. Also the stream and its token."""
    cloud, tenant = counting.cloud, counting.tenant
    for stream in cloud.ports(tenant.name).catalog.query(Stream, tenant.name).items:
        tenant.ask("DELETE", f"/v1/streams/{stream.id}")
        _until(counting, stream.id, "Undeployed")
    made: dict[str, Any] = {}

    def deploy() -> None:
        made.update(tenant.ask("POST", "/v1/streams", {"model_id": counting.model_id}))
        cloud.account.ecs.is_full = True
        for _ in range(waits_s):
            cloud.account.clock.ahead_s += 1
            tenant.deliver()
        cloud.account.ecs.is_full = False
        _until(counting, made["id"], "Running")

    counts = counting.of(deploy)
    return made["id"], made["presigned_token"], counts


def _until(counting: Counting, stream_id: int, status: str) -> None:
    catalog = counting.cloud.ports(TENANT).catalog

    def is_so() -> bool:
        stream = catalog.get(Stream, TENANT, stream_id)
        return stream is not None and stream.status == status

    counting.cloud.until(is_so, f"That stream {stream_id} is {status}")
    counting.cloud.settle()


# --- batches ---------------------------------------------------------------------------------


def _of_batches(counting: Counting) -> dict[str, Counts]:
    """Requests are so many per batch, per shard and per file: three sizes say how many each.

    The fourth size is foretold.
    """
    counting.cloud.workers[TENANT] = Worker(
        ports_of(counting.tenant, "worker"), lambda *_: Echo(), draining=threading.Event()
    )
    found = {size: _batch(counting, size) for size in SIZES}
    per_batch, per_shard, per_file = _fitted(found)
    last = SIZES[-1]
    assert _sum(per_batch, (shards(last), per_shard), (last, per_file)) == found[last]
    thousand = (1000, per_file)
    return {
        "a batch": per_batch,
        "each of its shards": per_shard,
        "each of its files": per_file,
        "the first 1,000 files": _sum(per_batch, (shards(1000), per_shard), thousand),
        "each 1,000 after it": _sum({}, (round(1000 / MAX_SHARD_FILES), per_shard), thousand),
    }


def shards(files: int) -> int:
    """How many shards that many small files make."""
    index = 0
    while files > 0:
        files, index = files - max_files(index), index + 1
    return index


def _batch(counting: Counting, size: int) -> Counts:
    cloud, tenant = counting.cloud, counting.tenant
    ports = cloud.ports(tenant.name)
    volume_id = client.volume(tenant, {})
    for at in range(size):
        ports.blobs.put(f"{volume_prefix(tenant.name, volume_id)}{at:04}.png", b"x")
    cloud.settle()

    def run() -> None:
        job_id = client.submitted(tenant, counting.model_id, volume_id)
        cloud.settle()
        job = ports.catalog.get(Job, tenant.name, job_id)
        assert job
        assert (job.status, job.succeeded) == ("Completed", size)

    return counting.of(run)


def _fitted(found: Mapping[int, Counts]) -> tuple[Counts, Counts, Counts]:
    """What a batch, a shard and a file cost, from three sizes."""
    small, middle, large = SIZES[:3]
    steps = [
        (files - before, shards(files) - shards(before), _less(found[files], found[before]))
        for before, files in ((small, middle), (middle, large))
    ]
    (files_1, shards_1, cost_1), (files_2, shards_2, cost_2) = steps
    determinant = files_1 * shards_2 - files_2 * shards_1
    per_file = {
        kind: _whole(cost_1[kind] * shards_2 - cost_2[kind] * shards_1, determinant)
        for kind in KINDS
    }
    per_shard = {kind: _whole(cost_2[kind] - files_2 * per_file[kind], shards_2) for kind in KINDS}
    rest = _sum(found[small], (-shards(small), per_shard), (-small, per_file))
    return rest, per_shard, per_file


def _less(more: Counts, less: Counts, *, shared_by: int = 1) -> Counts:
    return {kind: _whole(more[kind] - less[kind], shared_by) for kind in KINDS}


def _sum(first: Mapping[str, int], *others: tuple[int, Counts]) -> Counts:
    return {
        kind: first.get(kind, 0) + sum(times * counts[kind] for times, counts in others)
        for kind in KINDS
    }


def _whole(value: int, divisor: int) -> int:
    assert value % divisor == 0, f"{value} is not divided by {divisor}: something is not linear"
    return value // divisor
