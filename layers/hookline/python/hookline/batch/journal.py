"""What a shard has cost so far: rows that are saved before its part, and the file under suspicion.

The engine is a process of its own, so what a hook does rarely ends the worker. When a shard has
ended its worker all the same, later attempts go file by file and write down each one before they
touch it. A file that was the last word of two attempts gets an error row; the others are predicted.

That writes often, so what is stored are two blobs: rows that were there some time ago, and the few
that came since, with the suspicion.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import msgspec

from hookline.batch.row_file import RowFile
from hookline.core.errors import InputChanged, NotFound, Unavailable
from hookline.core.ports import Blobs
from hookline.core.records import Shard
from hookline.core.rows import Row, decoded

MAX_STRIKES = 2
SAVE_EVERY_S = 10.0
READS = 5
MAX_LATEST_ROWS = 64  # so that a file costs the writing of these, not of the whole shard
MAX_LATEST_BYTES = 32 * 1024 * 1024


class Suspicion(msgspec.Struct, frozen=True):
    """The file that was in hand, by its index in the manifest, and how often.

    Rows of a blob follow it, and are those after the first `base`.
    """

    index: int = -1
    strikes: int = 0
    base: int = 0


class Journal:
    """The journal of one shard. Any copy of it is true, so attempts may overwrite each other."""

    def __init__(
        self, blobs: Blobs, shard: Shard, suspicion: Suspicion, rows: RowFile, base: int
    ) -> None:
        self._blobs, self._key = blobs, key_of(shard)
        self._suspicion, self._base, self._written_at = suspicion, base, time.monotonic()
        self._may_be_stored = shard.attempt > 1
        self.rows = rows

    @classmethod
    def open(cls, blobs: Blobs, shard: Shard) -> Journal:
        """As the last attempt left it; empty for the first one."""
        if shard.attempt == 1:
            return cls(blobs, shard, Suspicion(), RowFile(), 0)
        for _ in range(READS):
            with suppress(InputChanged):  # a zombie wrote it meanwhile
                return cls._stored(blobs, shard)
        raise Unavailable(f"The journal of shard {shard.index} changes all the time.")

    @classmethod
    def _stored(cls, blobs: Blobs, shard: Shard) -> Journal:
        rows = RowFile()
        with _opened(blobs, key_of(shard)) as (suspicion, found):
            rows.extend(found)
        base = len(rows)
        with _opened(blobs, latest_of(key_of(shard))) as (head, found):
            if head.base == base:  # else the other blob was written after this one
                suspicion = head
                rows.extend(found)
        return cls(blobs, shard, suspicion, rows, base)

    def accuse(self, index: int) -> bool:
        """Write down that file `index` is next; False if it has had its chances."""
        before = self._suspicion
        strikes = before.strikes + 1 if before.index == index else 1
        if strikes > MAX_STRIKES:
            return False
        self._write(Suspicion(index, strikes))
        return True

    def save(self) -> None:
        """Keep the rows for the next attempt, and suspect nobody."""
        self._write(Suspicion())

    def save_now_and_then(self) -> None:
        """Bound what a death costs; cheap enough to be called after every batch."""
        if time.monotonic() - self._written_at > SAVE_EVERY_S:
            self.save()

    def discard(self) -> None:
        """The part is written."""
        if self._may_be_stored:
            self._blobs.delete(self._key)
            self._blobs.delete(latest_of(self._key))

    def _write(self, suspicion: Suspicion) -> None:
        self._suspicion, self._written_at = suspicion, time.monotonic()
        self._may_be_stored = True
        rows, base = self.rows, self._base
        latest_bytes = rows.start_of(len(rows)) - rows.start_of(base)
        if len(rows) - base > MAX_LATEST_ROWS or latest_bytes > MAX_LATEST_BYTES:
            self._store(self._key, suspicion, 0)
            self._base = len(rows)
        else:
            head = msgspec.structs.replace(suspicion, base=base)
            self._store(latest_of(self._key), head, base)

    def _store(self, key: str, head: Suspicion, first: int) -> None:
        with self._blobs.writer(key) as blob:
            blob.write(msgspec.json.encode(head) + b"\n")
            for piece in self.rows.pieces(first):
                blob.write(piece)


@contextmanager
def _opened(blobs: Blobs, key: str) -> Iterator[tuple[Suspicion, Iterator[Row]]]:
    """What is stored; no rows, and nobody suspected, when nothing is."""
    try:
        file = blobs.open(key)
    except NotFound:
        yield Suspicion(), iter(())
        return
    with file:
        yield msgspec.json.decode(next(file), type=Suspicion), decoded(file)


def latest_of(key: str) -> str:
    """Where the rows are that came since the journal of that key was written."""
    return f"{key}.latest"


def key_of(shard: Shard) -> str:
    """Where the journal of a shard is among the blobs."""
    return f"{shard.tenant}/jobs/{shard.job_id}/journals/{shard.index:08d}.jsonl"
