"""A part: the rows of a shard as a blob of JSON lines. The first part written is the part."""

from __future__ import annotations

from collections.abc import Iterator

from hookline.batch.row_file import Counts, RowFile, count
from hookline.core.errors import Conflict, Unavailable
from hookline.core.ports import Blobs
from hookline.core.records import Shard
from hookline.core.rows import Row, decoded


def write(blobs: Blobs, shard: Shard, rows: RowFile) -> Counts:
    """Store the part if there is none yet; return the counts of the part that is stored now."""
    try:
        with blobs.writer(shard.part_key, if_absent=True) as part:
            for piece in rows.pieces():
                part.write(piece)
    except Conflict:  # another attempt was first, and its part counts
        counts = stored(blobs, shard)
        if counts is None:
            raise Unavailable(
                f"The part {shard.index} of job {shard.job_id} cannot be stored now.",
                why="Another attempt began to store it, and it is not there yet.",
            ) from None
        return counts
    return rows.counts


def stored(blobs: Blobs, shard: Shard) -> Counts | None:
    """The counts of the part that is stored, if there is one."""
    if blobs.stat(shard.part_key) is None:
        return None
    return count(rows_of(blobs, shard))


def rows_of(blobs: Blobs, shard: Shard) -> Iterator[Row]:
    """The rows of the part that is stored. Raise NotFound, or DecodeError where it is damaged."""
    with blobs.open(shard.part_key) as file:
        yield from decoded(file)
