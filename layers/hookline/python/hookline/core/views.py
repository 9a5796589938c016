"""What the HTTP API answers. Times are RFC 3339 in UTC; readers ignore fields they do not know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Generic, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict

from hookline.core.models import (
    Compilation,
    Conversion,
    Model,
    ModelStatus,
    Preparation,
    TensorSpec,
    Variant,
)
from hookline.core.ports import BlobInfo, SignedRequest
from hookline.core.records import (
    Bundle,
    CustomCode,
    DecoderName,
    Failure,
    FormatterName,
    Job,
    JobStatus,
    NoticeStatus,
    OutputColumn,
    OutputFormat,
    Padding,
    Replica,
    Role,
    Serving,
    SplitName,
    Stream,
    StreamStatus,
    Volume,
)
from hookline.core.triggers import Drop, Trigger

V = TypeVar("V")
Outcome = Literal["taken", "starter", "waiting", "ignored"]
"""Of a file that landed: a job has it, it began a job, it may get into one, none ever will."""


class View(BaseModel):
    """The JSON object of an answer."""

    # Built on first use: a process answers few kinds, and starts sooner.
    model_config = ConfigDict(frozen=True, from_attributes=True, defer_build=True)


class PageView(View, Generic[V]):
    """One page of a list. An empty token says that it is the last."""

    items: tuple[V, ...]
    next_page_token: str = ""


class RequestView(View):
    """A request to send as it is; a relative `url` is resolved against the endpoint."""

    method: str
    url: str
    headers: Mapping[str, str]

    @classmethod
    def of(cls, request: SignedRequest) -> Self:
        return cls(method=request.method, url=request.url, headers=dict(request.headers))


class UploadView(View):
    """Where to put a file; no request when it is stored already."""

    sha256: str
    request: RequestView | None


class ModelView(View):
    """An imported model. A variable dimension is -1."""

    id: int
    name: str
    format: str
    sha256: str
    size_bytes: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    labels: tuple[str, ...]
    preparation: Preparation
    conversion: Conversion | None
    variant: Variant | None
    compilation: Compilation | None
    status: ModelStatus
    created_at: datetime

    @classmethod
    def of(cls, model: Model) -> Self:
        return cls.model_validate(model)


class ModelFileView(View):
    """Where to fetch the file of a model."""

    id: int
    sha256: str
    size_bytes: int
    request: RequestView


class ServingView(View):
    """How a model answers."""

    bundle: Bundle | None
    custom_code: CustomCode | None
    formatter: FormatterName
    formatter_args: dict[str, Any]
    decoder: DecoderName
    padding: Padding | None
    device: str
    gpus: int


def _serving(serving: Serving) -> dict[str, Any]:
    return {name: getattr(serving, name) for name in ServingView.model_fields}


class StreamView(ServingView):
    """A deployment of a model. `replicas` are wanted now, `ready_replicas` of them answer.

    `addresses` are those of them that whoever runs this machine may call without the gateway.
    `edition` is for the If-Match of a change. What failed of one that is Running is its update.
    """

    id: int
    model_id: int
    status: StreamStatus
    replicas: int
    ready_replicas: int
    addresses: tuple[str, ...]
    min_replicas: int
    max_replicas: int
    target_in_flight: int
    edition: int
    failure: Failure | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, stream: Stream, ready: Sequence[Replica], **more: Any) -> Self:
        counted = {"ready_replicas": len(ready), "addresses": _on_this_machine(ready)}
        return cls.model_validate({**dict(stream), **_serving(stream.serving), **counted, **more})


def _on_this_machine(replicas: Sequence[Replica]) -> tuple[str, ...]:
    """Their sockets in the file system, whose modes guard them; of networks nothing is told."""
    return tuple(each.address for each in replicas if each.address.startswith("unix:"))


class DeployedView(StreamView):
    """A stream and the token to predict with, which is shown this once."""

    presigned_token: str


class StreamStatusView(View):
    """How far a change of a stream has come."""

    id: int
    status: StreamStatus


class TokenView(View):
    """A token to predict with, which is shown this once."""

    id: int
    presigned_token: str


class LogsView(View):
    """Lines of a log, and the position to ask from next."""

    lines: tuple[str, ...]
    after: int


class TrafficView(View):
    """What a stream answered within the last seconds: through its gateways, all of them together.

    `p50_ms` and `p99_ms` are of whole requests; `queue_ms` is how long the mean request waited in
    its replica for a batch, of `batch_items`. None: there was no request. `held` requests wait for
    the first replica.
    """

    id: int
    status: str
    requests_per_s: float
    failed_per_s: float
    p50_ms: float | None
    p99_ms: float | None
    queue_ms: float | None
    batch_items: float | None
    in_flight: int
    held: int
    replicas: int
    ready_replicas: int


class VolumeView(View):
    """A named collection of files. `location` is where programs find them."""

    id: int
    name: str
    link: str
    location: str
    created_at: datetime

    @classmethod
    def of(cls, volume: Volume, location: str, **more: Any) -> Self:
        return cls.model_validate({**dict(volume), "location": location, **more})


class VolumeDetails(VolumeView):
    """A volume with what is in it."""

    total_files: int
    size_bytes: int


class UploadSlot(View):
    """Where to put or fetch one file of a volume, or the problem with its name."""

    name: str
    request: RequestView | None = None
    error: dict[str, Any] | None = None


class SlotsView(View):
    """One slot per file that was named, in the same order."""

    items: tuple[UploadSlot, ...]


class FileView(View):
    """A file of a volume."""

    name: str
    size_bytes: int
    etag: str
    modified_at: datetime

    @classmethod
    def of(cls, blob: BlobInfo, prefix: str) -> Self:
        return cls(
            name=blob.key.removeprefix(prefix),
            size_bytes=blob.size_bytes,
            etag=blob.etag,
            modified_at=blob.modified_at,  # type: ignore[arg-type]  # pydantic makes it a datetime
        )


class TriggerView(ServingView):
    """Files that land in the volume are predicted with the model, gathered into jobs."""

    id: int
    volume_id: int
    model_id: int
    settle_s: int
    max_wait_s: int
    max_files: int
    suffixes: tuple[str, ...]
    marker: str
    manifest: str
    notify: str
    is_on: bool
    created_at: datetime

    @classmethod
    def of(cls, trigger: Trigger) -> Self:
        gathering = trigger.gathering.model_dump()
        return cls.model_validate({**dict(trigger), **gathering, **_serving(trigger.serving)})


class TriggersView(View):
    """The triggers that a request turned off."""

    items: tuple[TriggerView, ...]


class DropView(View):
    """One version of a file that landed, and the job that predicts it or why none does (yet).

    A `starter` is a marker or a manifest, with the job that it began.
    """

    trigger_id: int
    name: str
    size_bytes: int
    outcome: Outcome
    job_id: int | None
    reason: str
    seen_at: datetime

    @classmethod
    def of(cls, drop: Drop, outcome: Outcome, job_id: int | None, reason: str) -> Self:
        told = {"outcome": outcome, "job_id": job_id, "reason": reason}
        return cls.model_validate({**dict(drop), **told})


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
    notice: NoticeView | None = None
    failure: Failure | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, job: Job, succeeded: int, failed: int) -> Self:
        counts = {"succeeded": succeeded, "failed": failed, "done": succeeded + failed}
        return cls.model_validate({**dict(job), **_serving(job.serving), **counts})


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


class MeView(View):
    """Who the key speaks for."""

    tenant: str
    user: str
    role: Role


class UserView(View):
    """A person in the tenant."""

    name: str
    role: Role
    created_at: datetime


class KeyView(View):
    """A key, known by the first digits of its hash; the key itself is not stored."""

    id: str
    label: str
    user: str
    created_at: datetime


class NewKeyView(KeyView):
    """A key as it is made. It is shown this once."""

    key: str


class WebhookSecretView(View):
    """What notices are signed with. It is shown this once."""

    secret: str
