"""A part: the rows of a shard as a blob of JSON lines. The first part written is the part."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from hookline.core.errors import Conflict
from hookline.core.ports import Blobs
from hookline.core.records import Shard
from hookline.core.rows import Row, decoded, encoded


class Counts(NamedTuple):
    """How many rows have an output, and how many have an error."""

    succeeded: int
    failed: int


def write(blobs: Blobs, shard: Shard, rows: Iterable[Row]) -> Counts:
    """Store the part if there is none yet; return the counts of the part that is stored now."""
    rows = list(rows)
    try:
        blobs.put(shard.part_key, encoded(rows), if_absent=True)
    except Conflict:  # another attempt was first, and its part counts
        return stored(blobs, shard) or count(rows)
    return count(rows)


def stored(blobs: Blobs, shard: Shard) -> Counts | None:
    """The counts of the part that is stored, if there is one."""
    if blobs.stat(shard.part_key) is None:
        return None
    with blobs.open(shard.part_key) as file:
        return count(decoded(file))


def count(rows: Iterable[Row]) -> Counts:
    """Count the rows by what became of them."""
    errors = [row.error is not None for row in rows]
    return Counts(succeeded=errors.count(False), failed=errors.count(True))
