"""A part: the rows of a shard as a blob of JSON lines. The first part written is the part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from hookline.core.errors import Conflict, HooklineError
from hookline.core.ports import Blobs
from hookline.core.records import Shard

MAX_MESSAGE_CHARS = 2000


class RowError(msgspec.Struct, frozen=True):
    """Why a file has no output."""

    code: str
    message: str

    @classmethod
    def of(cls, error: HooklineError) -> RowError:
        """A hook may raise any text: what no store or sheet could hold is cut or replaced."""
        text = str(error)[:MAX_MESSAGE_CHARS].encode("utf-8", "replace").decode()
        return cls(code=error.code, message=text)


class Row(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one file: its output, or its error.

    `job_id` names the earlier job that made the row, for one that a retry has kept; `took_ms` is
    its share of the time of its batch; `input` is the record, where the results are to have it;
    `is_json` says what the pipeline said of the output.
    """

    index: int = msgspec.field(name="i")
    name: str
    output: str | None = None
    error: RowError | None = None
    job_id: int = msgspec.field(name="job", default=0)
    took_ms: float = msgspec.field(name="ms", default=0.0)
    input: str | None = None
    is_json: bool = msgspec.field(name="json", default=False)


class Counts(NamedTuple):
    """How many rows have an output, and how many have an error."""

    succeeded: int
    failed: int


def encoded(rows: Iterable[Row]) -> bytes:
    """The rows as JSON lines."""
    return b"".join(msgspec.json.encode(row) + b"\n" for row in rows)


def decoded(lines: Iterable[bytes]) -> Iterator[Row]:
    """The rows of JSON lines. Raise msgspec.DecodeError for anything else."""
    return (msgspec.json.decode(line, type=Row) for line in lines)


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
