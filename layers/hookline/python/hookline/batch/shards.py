"""The shard records of a job: the ledger from which progress and the end are derived."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from hookline.core.errors import Conflict, Unavailable
from hookline.core.ports import MAX_PAGE, MAX_WRITES, Catalog, Put
from hookline.core.records import Job, Shard, number

ATTEMPTS = 10


def load(catalog: Catalog, tenant: str, job_id: int, index: int) -> Shard | None:
    """The shard as stored now."""
    return catalog.get(Shard, tenant, key_of(job_id, index))


def key_of(job_id: int, index: int) -> str:
    """The catalog key of a shard."""
    return f"{number(job_id)}/{number(index)}"


class Extent(NamedTuple):
    """The fields of a job that are known once its manifest is frozen."""

    total: int
    shards: int


def store(catalog: Catalog, shards: Iterable[Shard]) -> Extent:
    """Create the records that do not exist yet; return how many files and shards there are."""
    files = count = 0
    waiting: list[Shard] = []
    for shard in shards:
        files, count = files + shard.count, count + 1
        waiting.append(shard)
        if len(waiting) == MAX_WRITES:
            _create(catalog, waiting)
            waiting = []
    if waiting:
        _create(catalog, waiting)
    return Extent(total=files, shards=count)


def _create(catalog: Catalog, shards: Sequence[Shard]) -> None:
    try:
        catalog.transact([Put(shard) for shard in shards])
    except Conflict:  # an earlier attempt made some of them
        for shard in shards:
            _create_one(catalog, shard)


def _create_one(catalog: Catalog, shard: Shard) -> None:
    if catalog.get(Shard, shard.tenant, shard.key) is not None:
        return
    try:
        catalog.put(shard)
    except Conflict:
        return  # another planner made the same record, for the manifest is the same


def of_job(catalog: Catalog, job: Job, first: int = 0) -> Iterator[Shard]:
    """The job's shards from index `first` on, in order."""
    prefix = number(job.id) + "/"
    after = key_of(job.id, first - 1) if first else ""
    while True:
        page = catalog.query(Shard, job.tenant, prefix=prefix, after=after, limit=MAX_PAGE)
        yield from page.items
        if not page.after:
            return
        after = page.after


def first_open(catalog: Catalog, job: Job, first: int = 0) -> int | None:
    """The first shard from `first` on that holds the job back; None when the job may be finished.

    A job that runs waits for every shard. A job that stops waits for those that a worker has taken:
    who takes another later sees that the job stops, and adds no rows.
    """
    waits_for_all = job.status != "Stopping"
    expected = first
    for shard in of_job(catalog, job, first):
        is_open = not shard.is_done and (waits_for_all or shard.attempt > 0)
        if is_open or shard.index != expected:
            return expected
        expected += 1
    return expected if expected < job.shards else None


def take(catalog: Catalog, shard: Shard) -> Shard:
    """Fence the shard: the next attempt is mine. Return it as stored, perhaps done meanwhile."""
    return _change(catalog, shard, lambda found: found.changed(attempt=found.attempt + 1))


def finish(catalog: Catalog, shard: Shard, succeeded: int, failed: int) -> Shard:
    """Mark it done. The counts are those of the stored part, so it matters not who wins."""
    done = {"is_done": True, "succeeded": succeeded, "failed": failed}
    return _change(catalog, shard, lambda found: found.changed(**done))


def _change(catalog: Catalog, shard: Shard, step: Callable[[Shard], Shard]) -> Shard:
    """Store a change of a shard that is not done, reading it again while others change it."""
    for _ in range(ATTEMPTS):
        if shard.is_done:
            return shard
        try:
            return catalog.put(step(shard))
        except Conflict:
            shard = load(catalog, shard.tenant, shard.job_id, shard.index) or shard
    raise Unavailable(f"The shard {shard.key} changes too quickly.", hint="Try again.")
