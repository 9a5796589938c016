"""The results of a job, in the format that it asks for; see `core.sheets` for CSV and JSON lines.

As Parquet, the columns have the same names, all are texts but `ms`, and nothing is touched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256

from hookline.batch import parquet
from hookline.core.records import Job
from hookline.core.rows import Row
from hookline.core.sheets import Columns, csv_lines, json_lines


def key_of(job: Job) -> str:
    """Where the results of a job are among the blobs."""
    return f"{job.prefix}/results.{job.output_format}"


def written(rows: Iterable[Row], job: Job, *, has_errors: bool) -> Iterator[bytes]:
    """The bytes of the results as the job wants them. `has_errors`: some row of it failed."""
    columns = columns_of(job, has_errors=has_errors)
    if job.output_format == "parquet":
        return parquet.written(rows, columns.names)
    return (json_lines if job.output_format == "jsonl" else csv_lines)(rows, columns)


def columns_of(job: Job, *, has_errors: bool) -> Columns:
    """What a job wants beside the path and the output."""
    return Columns.of(job.include, joins_input=job.joins_input, has_errors=has_errors)


class Digest:
    """Passes bytes on to `write` and knows their SHA-256 and size."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._sha256 = sha256()
        self.size_bytes = 0

    def write(self, data: bytes) -> None:
        self._write(data)
        self._sha256.update(data)
        self.size_bytes += len(data)

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()
