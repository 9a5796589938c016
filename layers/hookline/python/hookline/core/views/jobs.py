"""What the HTTP API answers of jobs."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from hookline.core.records import (
    Failure,
    Job,
    JobStatus,
    NoticeStatus,
    OutputColumn,
    OutputFormat,
    SplitName,
)
from hookline.core.views.view import RequestView, ServingView, View, serving_fields


class NoticeView(View):
    """Whether the end of a job was told; `answer` says why the last attempt failed."""

    status: NoticeStatus
    attempts: int
    answer: str
    updated_at: datetime


class JobView(ServingView):
    """A batch prediction. `total` is known once it is Queued; the counts follow its shards.

    `notice` is shown for one job, once its end was told or tried to be.
    """

    id: int
    status: JobStatus
    model_id: int
    volume_id: int
    total: int
    done: int
    succeeded: int
    failed: int
    trigger_id: int | None
    retry_of: int | None
    split: SplitName
    has_header: bool
    output_format: OutputFormat
    include: tuple[OutputColumn, ...]
    joins_input: bool
    notify: str
    left_out: dict[str, int]
    notice: NoticeView | None = None
    failure: Failure | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, job: Job, succeeded: int, failed: int) -> Self:
        counts = {"succeeded": succeeded, "failed": failed, "done": succeeded + failed}
        return cls.model_validate({**dict(job), **serving_fields(job.serving), **counts})


class JobStatusView(View):
    """How far a change of a job has come."""

    id: int
    status: JobStatus


class ResultsView(View):
    """Where to fetch the CSV of a job; partial when the job was stopped."""

    id: int
    status: JobStatus
    is_partial: bool
    size_bytes: int
    sha256: str
    request: RequestView


class PartView(View):
    """The rows of a shard that is done, as JSON lines; `first` is the place of the first file."""

    index: int
    first: int
    succeeded: int
    failed: int
    request: RequestView


class VerificationView(View):
    """What a check of a job has found up to `next_page_token`; `problems` are of this call."""

    id: int
    status: JobStatus
    total: int
    succeeded: int
    failed: int
    pending: int
    problems: tuple[str, ...]
    next_page_token: str = ""
