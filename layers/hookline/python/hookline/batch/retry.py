"""A retry of a job: the rows that it made stay, the files that failed are predicted again.

The new job has the shards of the old one, so its part n is part n of the old one with the missing
rows put in, and everything after that is as for any job. A retry of a retry is no different.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

import msgspec

from hookline.batch import jobs, manifest, parts, shards
from hookline.batch.entries import Entry, Source
from hookline.core.errors import CallerError, NotFound
from hookline.core.ports import Blobs, Ports
from hookline.core.records import Job, Shard, Volume
from hookline.core.rows import Row

LOOKERS = 16  # files are looked at one by one, and may be far away


def freeze(ports: Ports, job: Job, volume: Volume) -> Iterator[Shard]:
    """Yield every shard of `job` in order, each when its slice of the manifest is stored.

    Files that failed are taken as they are now; those that are gone stay listed, and fail again.
    """
    earlier = jobs.load(ports.catalog, job.tenant, job.retry_of or 0)
    if earlier is None:
        raise NotFound.of("job", job.retry_of)
    source = Source.of(ports, volume)
    with ThreadPoolExecutor(LOOKERS, thread_name_prefix="look") as lookers:
        for theirs in shards.of_job(ports.catalog, earlier):
            mine = Shard(
                tenant=job.tenant,
                job_id=job.id,
                index=theirs.index,
                first=theirs.first,
                count=theirs.count,
            )
            if ports.blobs.stat(mine.manifest_key) is None:
                entries = manifest.entries_of(ports.blobs, theirs)
                made = {row.index for row in kept(ports.blobs, job, mine)}
                now = lookers.map(partial(_as_it_is, source, made), entries)
                manifest.agree(ports.blobs, mine, list(now))
            yield mine


def kept(blobs: Blobs, job: Job, shard: Shard) -> Iterator[Row]:
    """The rows of the earlier job that need not be made again, in order; none for other jobs.

    Each names the job that made it.
    """
    if job.retry_of is None:
        return
    earlier = parts.rows_of(blobs, shard.changed(job_id=job.retry_of))
    with suppress(NotFound):
        yield from (_made_by(job.retry_of, row) for row in earlier if row.error is None)


def _made_by(job_id: int, row: Row) -> Row:
    return row if row.job_id else msgspec.structs.replace(row, job_id=job_id)


def _as_it_is(source: Source, made: AbstractSet[int], entry: Entry) -> Entry:
    if entry.index in made or entry.is_record:
        return entry  # where the records of a changed file begin, nobody knows
    try:
        found = source.blobs.stat(source.prefix + entry.name)
    except CallerError:
        return entry
    if found is None:
        return entry
    return msgspec.structs.replace(entry, size_bytes=found.size_bytes, etag=found.etag)
