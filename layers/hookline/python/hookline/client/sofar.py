"""The rows of a job that runs: its parts are fetched one by one and made into a sheet."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from hookline.client import views
from hookline.client.wire import Wire
from hookline.core.errors import InvalidOutput
from hookline.core.rows import Row, decoded
from hookline.core.sheets import Columns, csv_lines, json_lines


def sheet(wire: Wire, job: views.Job) -> Iterator[bytes]:
    """CSV, or JSON lines of a job with another format; always with errors, as some may follow.

    Raise InvalidOutput when a part came cut or altered.
    """
    columns = Columns.of(job.include, joins_input=job.joins_input, has_errors=True)
    lines = csv_lines if job.output_format == "csv" else json_lines
    found = wire.pages(f"/v1/batches/{job.id}/parts", views.Part)
    return lines((row for part in found for row in _rows(wire, job.id, part)), columns)


def _rows(wire: Wire, job_id: int, part: views.Part) -> Iterator[Row]:
    place = part.first
    try:
        for row in decoded(_lines(wire.fetch(part.request))):
            if row.index != place:
                raise _damaged(job_id, part, f"Row {row.index} stands where {place} should.")
            yield row
            place += 1
    except msgspec.DecodeError as error:
        raise _damaged(job_id, part, str(error)) from error
    if place - part.first != part.succeeded + part.failed:
        raise _damaged(job_id, part, f"It has {place - part.first} rows.")


def _lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
    if rest:
        yield rest


def _damaged(job_id: int, part: views.Part, why: str) -> InvalidOutput:
    what = f"The part {part.index} of job {job_id} arrived damaged."
    return InvalidOutput(what, why=why, hint="Download it again.")
