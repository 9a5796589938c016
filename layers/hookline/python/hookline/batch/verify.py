"""Recompute the promise for any job: every file of the manifest is one row of the CSV, in order.

It reads the manifest, the parts and the CSV again and believes no count that was stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256

import msgspec

from hookline.batch import finish, manifest, parts, results, shards
from hookline.batch.manifest import Entry
from hookline.batch.parts import Counts, Row
from hookline.core.errors import HooklineError, NotFound
from hookline.core.ports import Ports
from hookline.core.records import Job, Shard

PIECE_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Report:
    """Rows by outcome, files without a row, and what is wrong, as sentences."""

    total: int
    succeeded: int
    failed: int
    problems: tuple[str, ...]

    @property
    def pending(self) -> int:
        return self.total - self.succeeded - self.failed

    @property
    def is_exact(self) -> bool:
        return not self.problems


def verify(ports: Ports, job: Job) -> Report:
    """Check a job that has ended, or one that runs as far as it has come."""
    problems: list[str] = []
    total = succeeded = failed = number_of_shards = 0
    for shard in shards.of_job(ports.catalog, job):
        if (shard.index, shard.first) != (number_of_shards, total):
            problems.append(f"Shard {shard.index} does not follow the shard before it.")
        counts, wrong = _shard(ports, job, shard)
        problems += wrong
        number_of_shards, total = number_of_shards + 1, total + shard.count
        succeeded, failed = succeeded + counts.succeeded, failed + counts.failed
    if job.status != "Received" and (job.shards, job.total) != (number_of_shards, total):
        problems.append(f"The job counts {job.total} files, its shards {total}.")
    if job.results_key:
        problems += _published(ports, job, total, Counts(succeeded, failed))
    return Report(total, succeeded, failed, tuple(problems))


def _shard(ports: Ports, job: Job, shard: Shard) -> tuple[Counts, list[str]]:
    """The rows of a shard by outcome, and what is wrong with its manifest or its part."""
    try:
        entries = manifest.entries_of(ports.blobs, shard)
        rows = _rows(ports, shard) if shard.is_done else []
    except (NotFound, msgspec.DecodeError) as error:
        return Counts(0, 0), [f"Shard {shard.index} cannot be read: {error}"]
    may_be_partial = not shard.is_done or job.status in ("Stopping", "Stopped")
    counts = parts.count(rows)
    wrong = [*_mismatches(shard, entries, rows)]
    if len(rows) != shard.count and not may_be_partial:
        wrong.append(f"Shard {shard.index} has {len(rows)} rows for {shard.count} files.")
    if counts != (shard.succeeded, shard.failed):
        wrong.append(f"Shard {shard.index} miscounts its rows.")
    return counts, wrong


def _rows(ports: Ports, shard: Shard) -> list[Row]:
    with ports.blobs.open(shard.part_key) as file:
        return list(parts.decoded(file))


def _mismatches(shard: Shard, entries: list[Entry], rows: list[Row]) -> Iterator[str]:
    places = range(shard.first, shard.first + shard.count)
    if [entry.index for entry in entries] != list(places):
        yield f"Shard {shard.index} does not have the files it should."
    listed = [(entry.index, entry.name) for entry in entries]
    if [(row.index, row.name) for row in rows] != listed[: len(rows)]:
        yield f"The rows of shard {shard.index} are not those of its files in order."


def _published(ports: Ports, job: Job, total: int, counts: Counts) -> Iterator[str]:
    """What is wrong with the CSV and with what the job says about it."""
    if (job.succeeded, job.failed) != counts:
        yield f"The job counts {job.succeeded} + {job.failed} rows, its parts {counts}."
    if job.status != "Stopped" and sum(counts) != total:
        yield f"There are {sum(counts)} rows for {total} files."
    try:
        rows = finish.rows_of(ports, job)
        wanted = _Digest.of(results.lines(rows, has_errors=counts.failed > 0))
        with ports.blobs.open(job.results_key) as file:
            stored = _Digest.of(iter(lambda: file.read(PIECE_BYTES), b""))
    except HooklineError as error:
        yield f"The results cannot be checked: {error}"
        return
    if stored != wanted:
        yield "The CSV is not what the parts make."
    if stored != _Digest(job.results_sha256, job.results_size_bytes):
        yield "The CSV is not the one that was published: its size or SHA-256 differ."


@dataclass(frozen=True, slots=True)
class _Digest:
    sha256: str
    size_bytes: int

    @classmethod
    def of(cls, pieces: Iterable[bytes]) -> _Digest:
        digest, size_bytes = sha256(), 0
        for piece in pieces:
            digest.update(piece)
            size_bytes += len(piece)
        return cls(digest.hexdigest(), size_bytes)
