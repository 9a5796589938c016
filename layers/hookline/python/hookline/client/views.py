"""What the API answers, as types: frozen, and tolerant of fields of a newer release."""

from __future__ import annotations

import json
from typing import Any

import msgspec

JOB_ENDS = frozenset({"Stopped", "Completed", "CompletedWithErrors", "Failed"})


class View(msgspec.Struct, frozen=True, kw_only=True):
    """An answer of the API. Times are RFC 3339 in UTC; ids count per tenant and kind."""


class Tensor(View, frozen=True, kw_only=True):
    """One input or output of a model. A variable dimension is -1."""

    name: str
    dtype: str
    shape: tuple[int, ...]


class Model(View, frozen=True, kw_only=True):
    """An imported, immutable artifact."""

    id: int
    name: str
    format: str
    status: str
    sha256: str = ""
    size_bytes: int = 0
    inputs: tuple[Tensor, ...] = ()
    outputs: tuple[Tensor, ...] = ()
    labels: tuple[str, ...] = ()
    preparation: dict[str, Any] = {}
    conversion: dict[str, Any] | None = None
    variant: dict[str, Any] | None = None
    compilation: dict[str, Any] | None = None
    created_at: str = ""


class Failure(View, frozen=True, kw_only=True):
    """Why something failed; `trace` holds the lines of the user's own code."""

    code: str = ""
    message: str = ""
    trace: str = ""


class Bundle(View, frozen=True, kw_only=True):
    """The hook files: an uploaded file or zip, or a volume."""

    sha256: str = ""
    filename: str = ""
    volume_id: int | None = None


class CustomCode(View, frozen=True, kw_only=True):
    """The git repository that the hooks import from; no commit means its default branch."""

    url: str
    commit: str = ""


class Padding(View, frozen=True, kw_only=True):
    """Sizes to which an axis of the inputs is padded, and what fills them up; 0 unless given."""

    buckets: tuple[int, ...]
    axis: str = ""
    values: dict[str, float] = {}


class Deployed(View, frozen=True, kw_only=True):
    """A stream at its birth: the only time that its token is shown."""

    id: int
    presigned_token: str
    status: str
    model_id: int = 0


class Stream(View, frozen=True, kw_only=True):
    """One deployment of a model that answers requests."""

    id: int
    model_id: int
    status: str
    bundle: Bundle | None = None
    custom_code: CustomCode | None = None
    formatter: str = "raw"
    formatter_args: dict[str, Any] = {}
    decoder: str = "pillow"
    padding: Padding | None = None
    device: str = "cpu"
    gpus: int = 0
    replicas: int = 1
    ready_replicas: int = 0
    addresses: tuple[str, ...] = ()
    min_replicas: int = 1
    max_replicas: int = 1
    target_in_flight: int = 0
    edition: int = 1
    failure: Failure | None = None
    created_at: str = ""
    updated_at: str = ""


class Status(View, frozen=True, kw_only=True):
    """How far a change of a stream or a job has come."""

    id: int
    status: str


class Token(View, frozen=True, kw_only=True):
    """A stream's new presigned token; the older ones are revoked."""

    id: int
    presigned_token: str


class LogPage(View, frozen=True, kw_only=True):
    """Lines of a stream's replicas; `after` asks for the next page."""

    lines: tuple[str, ...] = ()
    after: int = 0


class Traffic(View, frozen=True, kw_only=True):
    """What a stream answered within the last seconds. None: there was no request."""

    id: int
    status: str
    requests_per_s: float = 0.0
    failed_per_s: float = 0.0
    p50_ms: float | None = None
    p99_ms: float | None = None
    queue_ms: float | None = None
    batch_items: float | None = None
    in_flight: int = 0
    held: int = 0
    replicas: int = 0
    ready_replicas: int = 0


class Volume(View, frozen=True, kw_only=True):
    """A named collection of files. What is in it is told when it is shown alone."""

    id: int
    name: str
    link: str = ""
    location: str = ""
    total_files: int | None = None
    size_bytes: int | None = None
    dotfiles: int | None = None
    created_at: str = ""


class VolumeFile(View, frozen=True, kw_only=True):
    """A file in a volume."""

    name: str
    size_bytes: int
    etag: str = ""
    modified_at: str = ""


class SignedRequest(View, frozen=True, kw_only=True):
    """A request that carries its own permission; a relative URL is below the endpoint."""

    method: str
    url: str
    headers: dict[str, str] = {}


class Upload(View, frozen=True, kw_only=True):
    """How to send a file; no request when its content is stored already."""

    sha256: str
    request: SignedRequest | None = None


class Lent(View, frozen=True, kw_only=True):
    """Where to upload a body that is too large for a request, and how to refer to it then."""

    reference: str
    request: SignedRequest


class ModelFile(View, frozen=True, kw_only=True):
    """Where to fetch the file of a model."""

    id: int
    sha256: str
    size_bytes: int
    request: SignedRequest


class Slot(View, frozen=True, kw_only=True):
    """How to send or fetch one file of a volume, or the problem with it."""

    name: str
    request: SignedRequest | None = None
    error: dict[str, Any] | None = None


class Uploaded(View, frozen=True, kw_only=True):
    """The outcome of uploading files to the volume `id`."""

    failed: int
    id: int
    success: int
    total_files: int


class Trigger(View, frozen=True, kw_only=True):
    """Files that land in this volume are predicted with this model, gathered into jobs."""

    id: int
    volume_id: int
    model_id: int
    settle_s: int = 0
    max_wait_s: int = 0
    max_files: int = 0
    suffixes: tuple[str, ...] = ()
    marker: str = ""
    manifest: str = ""
    notify: str = ""
    is_on: bool = True
    bundle: Bundle | None = None
    custom_code: CustomCode | None = None
    formatter: str = "raw"
    formatter_args: dict[str, Any] = {}
    decoder: str = "pillow"
    padding: Padding | None = None
    device: str = "cpu"
    gpus: int = 0
    created_at: str = ""


class Triggers(View, frozen=True, kw_only=True):
    """The triggers that a call turned off."""

    items: tuple[Trigger, ...] = ()


class Drop(View, frozen=True, kw_only=True):
    """One version of a file that landed, and the job that predicts it or the reason for none.

    `outcome` is taken, starter (it began the job), waiting or ignored.
    """

    trigger_id: int
    name: str
    size_bytes: int = 0
    outcome: str = ""
    job_id: int | None = None
    reason: str = ""
    seen_at: str = ""


class Notice(View, frozen=True, kw_only=True):
    """Whether the end of a job was told: pending, delivered or failed, and why not."""

    status: str
    attempts: int = 0
    answer: str = ""
    updated_at: str = ""


class Job(View, frozen=True, kw_only=True):
    """A batch prediction and how far it is."""

    id: int
    status: str
    model_id: int
    volume_id: int
    total: int = 0
    done: int = 0
    succeeded: int = 0
    failed: int = 0
    trigger_id: int | None = None
    retry_of: int | None = None
    split: str = "files"
    has_header: bool = False
    output_format: str = "csv"
    include: tuple[str, ...] = ()
    joins_input: bool = False
    notify: str = ""
    left_out: dict[str, int] = {}
    notice: Notice | None = None
    failure: Failure | None = None
    bundle: Bundle | None = None
    custom_code: CustomCode | None = None
    formatter: str = "raw"
    formatter_args: dict[str, Any] = {}
    decoder: str = "pillow"
    padding: Padding | None = None
    device: str = "cpu"
    gpus: int = 0
    created_at: str = ""
    updated_at: str = ""

    @property
    def has_ended(self) -> bool:
        return self.status in JOB_ENDS


class Results(View, frozen=True, kw_only=True):
    """Where the CSV of a job is. It is partial when the job was stopped before its end."""

    id: int
    status: str
    request: SignedRequest
    is_partial: bool = False
    size_bytes: int = 0
    sha256: str = ""


class Part(View, frozen=True, kw_only=True):
    """Rows of a job that are there, as JSON lines; `first` is the place of the first file."""

    index: int
    first: int
    request: SignedRequest
    succeeded: int = 0
    failed: int = 0


class Verification(View, frozen=True, kw_only=True):
    """What a check of a job has found: nothing in `problems` means that its promise holds."""

    id: int
    status: str
    total: int = 0
    succeeded: int = 0
    failed: int = 0
    pending: int = 0
    problems: tuple[str, ...] = ()
    next_page_token: str = ""

    @property
    def is_exact(self) -> bool:
        return not self.problems


class Identity(View, frozen=True, kw_only=True):
    """Whom a key speaks for."""

    tenant: str
    user: str
    role: str


class User(View, frozen=True, kw_only=True):
    """A person in the tenant."""

    name: str
    role: str
    created_at: str = ""


class Key(View, frozen=True, kw_only=True):
    """A key as it is listed: `label` is its beginning, the secret itself is not stored."""

    id: str
    label: str = ""
    user: str = ""
    created_at: str = ""


class NewKey(View, frozen=True, kw_only=True):
    """A key at its birth: the only time that it is shown."""

    id: str
    key: str
    user: str = ""
    label: str = ""


class WebhookSecret(View, frozen=True, kw_only=True):
    """What notices are signed with, at its birth: the only time that it is shown."""

    secret: str


class Answer(View, frozen=True, kw_only=True):
    """What a stream answered, as is."""

    body: bytes
    mime_type: str

    def json(self) -> Any:
        """The body as a Python value; raise ValueError when it is not JSON."""
        return json.loads(self.body)
