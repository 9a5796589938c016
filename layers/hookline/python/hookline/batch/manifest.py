"""The manifest: the ordered list of a job's files, frozen once, cut into shards, kept as blobs.

Freezing is a log that any number of planners may write at once. Shard n is one blob, put if absent;
who loses the race reads the winner's blob and goes on listing after its last name. An empty blob
ends the log. So a second attempt, a duplicate message and a zombie all end with the same manifest,
whatever was added to the volume or removed from it in between, and memory is O(shard).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import count

import msgspec

from hookline.batch import split
from hookline.batch.entries import Entry, File, Source
from hookline.core.errors import Conflict, InvalidInput, NotFound
from hookline.core.names import is_hidden
from hookline.core.ports import Blobs, Ports
from hookline.core.records import Job, Shard, SplitName, Volume

MAX_SHARD_FILES = 1024
MAX_SHARD_RECORDS = 4096
MAX_SHARD_BYTES = 64 * 1024 * 1024
FIRST_SHARD_FILES = 16  # small shards first: few files still keep every worker busy
SHARDS_PER_SIZE = 4
DOUBLINGS = 8
SMALL_SHARDS = SHARDS_PER_SIZE * DOUBLINGS  # those after them are of one size


Listing = Callable[[int, Entry | None], Iterator[File]]
"""Files in order, from position `first` on, which is the one after the entry `last`."""


def freeze(ports: Ports, job: Job, volume: Volume) -> Iterator[Shard]:
    """Yield every shard of `job` in order, each when its slice of the manifest is stored."""
    listing = _listing(ports, job, volume)
    files: Iterator[File] | None = None
    first, last = 0, None
    for index in count():
        shard = _shard(job, index, first, 0)
        files = listing(first, last) if files is None else files
        mine = _numbered(_take(files, max_files(index, job.split)), first)
        entries = agree(ports.blobs, shard, mine)
        if not entries:
            return
        if entries is not mine:
            files = None  # another planner's slice: list again from its end
        first, last = first + len(entries), entries[-1]
        yield shard.changed(count=len(entries))


def max_files(index: int, split: SplitName = "files") -> int:
    """How many files or records the shard of that index may have."""
    most = MAX_SHARD_RECORDS if split == "lines" else MAX_SHARD_FILES
    return min(most, FIRST_SHARD_FILES << min(index // SHARDS_PER_SIZE, DOUBLINGS))


def entries_of(blobs: Blobs, shard: Shard) -> list[Entry]:
    """The stored slice of the manifest. Raise NotFound if it is not frozen yet."""
    with blobs.open(shard.manifest_key) as file:
        return [msgspec.json.decode(line, type=Entry) for line in file]


def _shard(job: Job, index: int, first: int, files: int) -> Shard:
    return Shard(tenant=job.tenant, job_id=job.id, index=index, first=first, count=files)


def agree(blobs: Blobs, shard: Shard, mine: list[Entry]) -> list[Entry]:
    """Store my slice, or return the one that was stored before."""
    try:
        blobs.put(shard.manifest_key, encoded(mine), if_absent=True)
    except Conflict:
        return entries_of(blobs, shard)
    return mine


def encoded(entries: Sequence[Entry]) -> bytes:
    """The entries as JSON lines."""
    return b"".join(msgspec.json.encode(entry) + b"\n" for entry in entries)


def _numbered(files: Sequence[File], first: int) -> list[Entry]:
    return [
        Entry(index, file.name, file.size_bytes, file.etag, file.start)
        for index, file in enumerate(files, first)
    ]


def _take(files: Iterator[File], most: int) -> list[File]:
    """The next files: at most `most`, and none after the one that fills a shard's bytes."""
    taken: list[File] = []
    size_bytes = 0
    while len(taken) < most and size_bytes < MAX_SHARD_BYTES:
        file = next(files, None)
        if file is None:
            break
        taken.append(file)
        size_bytes += file.size_bytes
    return taken


def _listing(ports: Ports, job: Job, volume: Volume) -> Listing:
    if job.only:
        chosen = _chosen(ports.blobs, job.only)
        return lambda first, _last: iter(chosen[first:])
    source = Source.of(ports, volume)
    if job.split == "files":
        return lambda _first, last: _listed(source, last.name if last else "")
    return lambda _first, last: _split(source, last, has_header=job.has_header)


def _split(source: Source, last: Entry | None, *, has_header: bool) -> Iterator[File]:
    if last is not None and last.is_record:
        yield from split.rest(source, last)
    files = _listed(source, last.file if last else "")
    yield from split.split(source, files, has_header=has_header)


def _listed(source: Source, after: str) -> Iterator[File]:
    """The inputs after the name `after`, in UTF-8 byte order of their names, page by page."""
    position = source.prefix + after if after else ""
    while True:
        page = source.blobs.list(source.prefix, after=position)
        for blob in page.items:
            name = blob.key.removeprefix(source.prefix)
            # Those that end with a slash are the folder markers of S3 consoles.
            if name and not name.endswith("/") and not is_hidden(name):
                yield File(name=name, size_bytes=blob.size_bytes, etag=blob.etag)
        if not page.after:
            return
        position = page.after


def _chosen(blobs: Blobs, key: str) -> list[File]:
    """The files a trigger chose, in order; as many as one burst, so they fit in memory."""
    try:
        with blobs.open(key) as file:
            chosen = {msgspec.json.decode(line, type=File) for line in file}
    except NotFound:
        raise NotFound(
            "The list of the job's files is gone.",
            why=f"There is no {key}.",
            hint="Drop the files again.",
        ) from None
    except msgspec.DecodeError as error:
        raise InvalidInput("The list of the job's files is malformed.", why=str(error)) from error
    return sorted(chosen, key=lambda file: (file.name.encode(), file.etag))
