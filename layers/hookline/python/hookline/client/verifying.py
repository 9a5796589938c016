"""Whether every file of a job is one row of its CSV: what the service finds, and this end."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import structs

from hookline.client import downloads, views
from hookline.client.wire import Wire
from hookline.core.errors import InvalidOutput


def verify(wire: Wire, job_id: int) -> views.Verification:
    """All that the service finds, page by page, and what is wrong with the CSV as it arrives."""
    path, token = f"/v1/batches/{job_id}/verify", ""
    problems: list[str] = []
    while True:
        params = {"page_token": token} if token else None
        found = wire.call("GET", path, views.Verification, params=params)
        problems += found.problems
        token = found.next_page_token
        if not token:
            break
    if found.status in views.JOB_ENDS - {"Failed"}:
        problems += _damage(wire, job_id)
    return structs.replace(found, problems=tuple(problems))


def _damage(wire: Wire, job_id: int) -> Iterator[str]:
    results = wire.call("GET", f"/v1/batches/{job_id}/results", views.Results)
    try:
        size_bytes = sum(map(len, downloads.results(wire, results)))
    except InvalidOutput as error:
        yield str(error)
        return
    if size_bytes != results.size_bytes:
        yield f"The CSV has {size_bytes} bytes, the job declares {results.size_bytes}."
