"""What a shard has cost so far: rows that are saved before its part, and the file under suspicion.

The engine is a process of its own, so what a hook does rarely ends the worker. When a shard has
ended its worker all the same, later attempts go file by file and write down each one before they
touch it. A file that was the last word of two attempts gets an error row; the others are predicted.

That writes often, so what is stored are two blobs: rows that were there some time ago, and the few
that came since, with the suspicion.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec

from hookline.core.errors import NotFound
from hookline.core.ports import Blobs
from hookline.core.records import Shard
from hookline.core.rows import Row, decoded, encoded

MAX_STRIKES = 2
SAVE_EVERY_S = 10.0
MAX_LATEST_ROWS = 64  # so that a file costs the writing of these, not of the whole shard


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
        self, blobs: Blobs, shard: Shard, suspicion: Suspicion, rows: list[Row], base: int
    ) -> None:
        self._blobs, self._key = blobs, key_of(shard)
        self._suspicion, self._base, self._written_at = suspicion, base, time.monotonic()
        self._may_be_stored = shard.attempt > 1
        self.rows = rows

    @classmethod
    def open(cls, blobs: Blobs, shard: Shard) -> Journal:
        """As the last attempt left it; empty for the first one."""
        if shard.attempt == 1:
            return cls(blobs, shard, Suspicion(), [], 0)
        suspicion, rows = _read(blobs, key_of(shard))
        base = len(rows)
        latest, more = _read(blobs, latest_of(key_of(shard)))
        if latest.base == base:  # else the other blob was written after this one
            suspicion, rows = latest, rows + more
        return cls(blobs, shard, suspicion, rows, base)

    def accuse(self, index: int) -> bool:
        """Write down that file `index` is next; False if it has had its chances."""
        before = self._suspicion
        strikes = before.strikes + 1 if before.index == index else 1
        if strikes > MAX_STRIKES:
            return False
        self._write(Suspicion(index, strikes), self.rows)
        return True

    def save(self) -> None:
        """Keep the rows for the next attempt, and suspect nobody."""
        self._write(Suspicion(), self.rows)

    def save_now_and_then(self) -> None:
        """Bound what a death costs; cheap enough to be called after every batch."""
        if time.monotonic() - self._written_at > SAVE_EVERY_S:
            self.save()

    def discard(self) -> None:
        """The part is written."""
        if self._may_be_stored:
            self._blobs.delete(self._key)
            self._blobs.delete(latest_of(self._key))

    def _write(self, suspicion: Suspicion, rows: Sequence[Row]) -> None:
        self._suspicion, self._written_at = suspicion, time.monotonic()
        self._may_be_stored = True
        if len(rows) - self._base > MAX_LATEST_ROWS:
            self._blobs.put(self._key, _encoded(suspicion, rows))
            self._base = len(rows)
        else:
            head = msgspec.structs.replace(suspicion, base=self._base)
            self._blobs.put(latest_of(self._key), _encoded(head, rows[self._base :]))


def _encoded(suspicion: Suspicion, rows: Sequence[Row]) -> bytes:
    return msgspec.json.encode(suspicion) + b"\n" + encoded(rows)


def _read(blobs: Blobs, key: str) -> tuple[Suspicion, list[Row]]:
    """What is stored; no rows, and nobody suspected, when nothing is."""
    try:
        with blobs.open(key) as file:
            suspicion = msgspec.json.decode(next(file), type=Suspicion)
            return suspicion, list(decoded(file))
    except NotFound:
        return Suspicion(), []


def latest_of(key: str) -> str:
    """Where the rows are that came since the journal of that key was written."""
    return f"{key}.latest"


def key_of(shard: Shard) -> str:
    """Where the journal of a shard is among the blobs."""
    return f"{shard.tenant}/jobs/{shard.job_id}/journals/{shard.index:08d}.jsonl"
