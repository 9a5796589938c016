"""Recompute the promise for any job: every file of the manifest is one row of the CSV, in order.

It reads the manifest, the parts and the CSV again and believes no count that was stored. It goes
shard by shard and can stop after any of them, so a job of any size is checked in short calls.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from typing import Self

import msgspec

from hookline.batch import manifest, parquet, parts, results, retry, shards
from hookline.batch.entries import Entry
from hookline.batch.row_file import Counts
from hookline.control import verification
from hookline.core.errors import BadRequest, HooklineError, NotFound
from hookline.core.ports import Ports
from hookline.core.records import Job, Shard
from hookline.core.rows import Row
from hookline.core.topology import Handler
from hookline.core.views.jobs import VerificationView

PIECE_BYTES = 256 * 1024
CALL_S = 5.0  # a call of the API ends after 30 seconds; the shard in hand may be a long one
MAX_PROBLEMS = 100
NOT_COMPARED = -1


class Place(msgspec.Struct, frozen=True, array_like=True):
    """How far the check has come: shards, files and rows before it, and bytes of the CSV.

    `offset` is NOT_COMPARED for a job that had no results when the check began, and after a shard
    whose rows are not known. In Parquet it counts rows.
    """

    shard: int = 0
    total: int = 0
    succeeded: int = 0
    failed: int = 0
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """Rows by outcome, files without a row, and what is wrong, as sentences."""

    total: int
    succeeded: int
    failed: int
    problems: tuple[str, ...]
    next: Place | None = None  # where to go on; None once everything was looked at

    @property
    def pending(self) -> int:
        return self.total - self.succeeded - self.failed

    @property
    def is_exact(self) -> bool:
        return not self.problems


def build(ports: Ports) -> Handler:
    """The handler of GET /v1/batches/{job_id}/verify."""
    return verification.build(ports, partial(_call, ports))


def _call(ports: Ports, job: Job, after: str) -> tuple[VerificationView, str]:
    """Check for a while from the place `after` on; also say where to go on, in the same form."""
    try:
        place = msgspec.json.decode(after, type=Place) if after else begin(job)
    except msgspec.DecodeError as error:
        raise BadRequest("The page token is not one of a check.", why=str(error)) from error
    until = time.monotonic() + CALL_S
    report = check(ports, job, place, lambda: time.monotonic() < until)
    view = VerificationView(
        id=job.id,
        status=job.status,
        total=report.total,
        succeeded=report.succeeded,
        failed=report.failed,
        pending=report.pending,
        problems=report.problems,
    )
    return view, msgspec.json.encode(report.next).decode() if report.next else ""


def verify(ports: Ports, job: Job) -> Report:
    """Check a job that has ended, or one that runs as far as it has come."""
    report = check(ports, job, begin(job), lambda: True)
    if not job.results_key:
        return report
    problems = dict.fromkeys([*report.problems, *_digested(ports, job)])
    return replace(report, problems=tuple(problems))


def begin(job: Job) -> Place:
    """Where the check of a job begins."""
    return Place(offset=0 if job.results_key else NOT_COMPARED)


def check(ports: Ports, job: Job, place: Place, may_go_on: Callable[[], bool]) -> Report:
    """Check from `place` on, at least one shard, until `may_go_on` turns false.

    Counts are those since the beginning; problems are those of this call.
    """
    problems: list[str] = []
    for shard in _shards(ports, job, place.shard):
        place, wrong = _checked(ports, job, shard, place)
        problems += wrong
        if not may_go_on():
            return _report(place, problems, place)
    problems += _sums(ports, job, place)
    return _report(place, problems, None)


def _report(place: Place, problems: Sequence[str], following: Place | None) -> Report:
    once = tuple(dict.fromkeys(problems))[:MAX_PROBLEMS]
    return Report(place.total, place.succeeded, place.failed, once, following)


def _shards(ports: Ports, job: Job, first: int) -> Iterator[Shard]:
    """Those of the manifest. A job that was stopped before it was frozen may have left others."""
    if job.shards or job.status == "Received":
        yield from shards.of_job(ports.catalog, job, first)


def _checked(ports: Ports, job: Job, shard: Shard, place: Place) -> tuple[Place, list[str]]:
    """The place after the shard, and what is wrong with its manifest, its part or its rows."""
    wrong: list[str] = []
    if (shard.index, shard.first) != (place.shard, place.total):
        wrong.append(f"Shard {shard.index} does not follow the shard before it.")
    counts, offset = Counts(0, 0), place.offset
    try:
        entries = manifest.entries_of(ports.blobs, shard)
        rows = parts.rows_of(ports.blobs, shard) if shard.is_done else iter(())
        seen = _Seen(rows, retry.kept(ports.blobs, job, shard))
        if offset != NOT_COMPARED:
            offset, differs = _compared(ports, job, shard, seen, offset)
            wrong += differs
        counts = seen.to_the_end()
    except (NotFound, msgspec.DecodeError) as error:
        wrong.append(f"Shard {shard.index} cannot be read: {error}")
        offset = NOT_COMPARED
    else:
        wrong += seen.differences
        wrong += _mismatches(job, shard, entries, seen)
    after = Place(
        shard.index + 1,
        place.total + shard.count,
        place.succeeded + counts.succeeded,
        place.failed + counts.failed,
        offset,
    )
    return after, wrong


class _Seen:
    """The rows of a part as somebody reads them, one by one; what is to be known of all of them.

    `kept` are those of an earlier job, in order, that must be among them unchanged.
    """

    def __init__(self, rows: Iterator[Row], kept: Iterator[Row]) -> None:
        self._rows, self._kept = rows, kept
        self._next_kept = next(kept, None)
        self.names: list[tuple[int, str]] = []
        self.differences: list[str] = []
        self._failed = 0

    def __iter__(self) -> Iterator[Row]:
        for row in self._rows:
            self.names.append((row.index, row.name))
            self._failed += row.error is not None
            self._compare(row)
            yield row

    def to_the_end(self) -> Counts:
        """Read what nobody has read yet, and count all."""
        for _ in self:
            pass
        return self.counts

    @property
    def counts(self) -> Counts:
        return Counts(len(self.names) - self._failed, self._failed)

    def _compare(self, row: Row) -> None:
        while self._next_kept and self._next_kept.index < row.index:
            self._next_kept = next(self._kept, None)
        if self._next_kept and self._next_kept.index == row.index and self._next_kept != row:
            problem = f"Row {row.index} is not the one of the job that was tried again."
            self.differences.append(problem)


def _mismatches(job: Job, shard: Shard, entries: Sequence[Entry], seen: _Seen) -> Iterator[str]:
    places = range(shard.first, shard.first + shard.count)
    if [entry.index for entry in entries] != list(places):
        yield f"Shard {shard.index} does not have the files it should."
    listed = [(entry.index, entry.name) for entry in entries]
    if seen.names != listed[: len(seen.names)]:
        yield f"The rows of shard {shard.index} are not those of its files in order."
    may_be_partial = not shard.is_done or job.status in ("Stopping", "Stopped")
    if len(seen.names) != shard.count and not may_be_partial:
        yield f"Shard {shard.index} has {len(seen.names)} rows for {shard.count} files."
    if seen.counts != (shard.succeeded, shard.failed):
        yield f"Shard {shard.index} miscounts its rows."


def _compared(
    ports: Ports, job: Job, shard: Shard, rows: Iterable[Row], offset: int
) -> tuple[int, list[str]]:
    """Where the shard's rows end in the results, and a sentence when others are there."""
    if job.output_format == "parquet":
        return _compared_rows(ports, job, shard, list(rows), offset)
    pieces = results.written(rows, job, has_errors=job.failed > 0)
    with _Compared(ports, job, offset) as compared:
        for piece in pieces:
            compared.next(piece)
    return compared.end, compared.wrong(shard)


class _Compared:
    """The bytes of the results beside those that should be there, piece by piece."""

    def __init__(self, ports: Ports, job: Job, offset: int) -> None:
        self.end = offset
        self._is_same, self._error = True, ""
        self._stack = ExitStack()
        with self._noting():
            self._file = self._stack.enter_context(ports.blobs.open(job.results_key))
            self._file.seek(offset)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def next(self, piece: bytes) -> None:
        self.end += len(piece)
        if self._is_same and not self._error:
            with self._noting():
                self._is_same = self._file.read(len(piece)) == piece

    def wrong(self, shard: Shard) -> list[str]:
        if self._error:
            return [self._error]
        if self._is_same:
            return []
        return [f"The CSV does not hold the rows of shard {shard.index}."]

    @contextmanager
    def _noting(self) -> Iterator[None]:
        """An error of the results is a finding; one of the rows is for the caller."""
        try:
            yield
        except HooklineError as error:
            self._error = f"The results cannot be checked: {error}"


def _compared_rows(
    ports: Ports, job: Job, shard: Shard, rows: Sequence[Row], offset: int
) -> tuple[int, list[str]]:
    """As `_compared`, in a file of which rows are counted, not bytes."""
    names = results.columns_of(job, has_errors=job.failed > 0).names
    end = offset + len(rows)
    try:
        with ports.blobs.open(job.results_key) as file:
            found = parquet.read_back(file, job.results_key, offset, len(rows))
    except HooklineError as error:
        return end, [f"The results cannot be checked: {error}"]
    is_same = found == [parquet.cells(row, names) for row in rows]
    return end, [] if is_same else [f"The results do not hold the rows of shard {shard.index}."]


def _declared(ports: Ports, job: Job) -> int:
    """Where the last row ends, as Place.offset counts. Raise HooklineError if it cannot be read."""
    if job.output_format != "parquet":
        return job.results_size_bytes
    with ports.blobs.open(job.results_key) as file:
        return parquet.extent(file, job.results_key).rows


def _sums(ports: Ports, job: Job, place: Place) -> Iterator[str]:
    """What is wrong with the sums that the job declares, once its shards have been seen."""
    if job.status != "Received" and (job.shards, job.total) != (place.shard, place.total):
        yield f"The job counts {job.total} files, its shards {place.total}."
    if place.offset == NOT_COMPARED:
        return
    if (job.succeeded, job.failed) != (place.succeeded, place.failed):
        yield (
            f"The job counts {job.succeeded} + {job.failed} rows, "
            f"its parts {place.succeeded} + {place.failed}."
        )
    if job.status != "Stopped" and place.succeeded + place.failed != place.total:
        yield f"There are {place.succeeded + place.failed} rows for {place.total} files."
    try:
        declared = _declared(ports, job)
    except HooklineError as error:
        yield f"The results cannot be checked: {error}"
        return
    if place.offset != declared:
        unit = "rows" if job.output_format == "parquet" else "bytes"
        yield f"The parts make {place.offset} {unit} of results, the job declares {declared}."
    found = ports.blobs.stat(job.results_key)
    if found is not None and found.size_bytes != job.results_size_bytes:
        yield f"The CSV has {found.size_bytes} bytes, the job declares {job.results_size_bytes}."


def _digested(ports: Ports, job: Job) -> Iterator[str]:
    """Whether the CSV is the one that was published; callers of the API compare digests too."""
    digest = sha256()
    try:
        with ports.blobs.open(job.results_key) as file:
            while piece := file.read(PIECE_BYTES):
                digest.update(piece)
    except HooklineError as error:
        yield f"The results cannot be checked: {error}"
        return
    if digest.hexdigest() != job.results_sha256:
        yield "The CSV is not the one that was published: its SHA-256 differs."
