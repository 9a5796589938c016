"""The nouns as they are stored: frozen records, one class per kind, defined once.

Every record belongs to a tenant and has a key that is unique in its kind. `version` is what the
catalog stored last; 0 means never stored. Writes are conditional on it, so a stale copy cannot
overwrite a newer one. Times are UTC epoch seconds. Models and triggers have modules of their own.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hookline.core.groups import group_of

TARGET_IN_FLIGHT = 8  # one batch being predicted and the next one arriving
PLATFORM = "_"  # the tenant of records that are found before the tenant is known

DeviceName = Literal["cpu", "gpu", "inf1", "inf2"]
StreamStatus = Literal["Deploying", "Running", "Updating", "Failed", "Undeploying", "Undeployed"]
JobStatus = Literal[
    "Received",
    "Queued",
    "Running",
    "Stopping",
    "Stopped",
    "Completed",
    "CompletedWithErrors",
    "Failed",
]
Role = Literal["admin", "user"]
RecordPlace = Literal["own", "jobs"]
FormatterName = Literal["raw", "classification", "regression", "embedding", "tokens", "boxes"]
DecoderName = Literal["pillow", "simplejpeg", "exact"]  # of JPEGs, without a preprocess hook
SplitName = Literal["files", "lines"]
OutputFormat = Literal["csv", "jsonl", "parquet"]
NoticeStatus = Literal["pending", "delivered", "failed"]
OutputColumn = Literal["error", "timing"]

JOB_ENDS: frozenset[str] = frozenset({"Stopped", "Completed", "CompletedWithErrors", "Failed"})
STREAM_ENDS: frozenset[str] = frozenset({"Failed", "Undeployed"})


class Value(BaseModel):
    """A frozen part of a record. Unknown fields of a newer release are ignored on reading."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)


class Record(Value):
    """Something the catalog stores.

    `place`: what may write the jobs of a tenant may for that not write what else it has.
    """

    kind: ClassVar[str]
    place: ClassVar[RecordPlace] = "own"

    tenant: str
    version: int = Field(default=0, exclude=True)

    @property
    @abstractmethod
    def key(self) -> str:
        """Unique in the tenant and kind; records are listed in the order of their keys."""

    def changed(self, **fields: Any) -> Self:
        """A copy with some fields replaced, still conditional on the version that was read."""
        return self.model_copy(update=fields)


def number(record_id: int) -> str:
    """A small integer id as a key that sorts like the number."""
    return f"{record_id:010d}"


class NumberedRecord(Record):
    """A record with a small integer id, counted per tenant and kind."""

    id: int

    @property
    def key(self) -> str:
        return number(self.id)


class Failure(Value):
    """Why something failed, in the words of the error that ended it."""

    code: str
    message: str
    trace: str = ""


class Bundle(Value):
    """The user's hook files: an uploaded file or zip (`sha256`, `filename`), or a volume."""

    sha256: str = ""
    filename: str = ""
    volume_id: int | None = None


class CustomCode(Value):
    """A git repository that the hooks import from; no `commit` means its default branch."""

    url: str
    commit: str = ""


class Padding(Value):
    """Sizes, ascending, to which a variable axis of inputs is padded, so that they share batches.

    `axis` is its name in the model's file, or its number with the batch axis; "" is the only one.
    `values` fill up inputs, by name; 0 unless given.
    """

    buckets: tuple[int, ...]
    axis: str = ""
    values: dict[str, float] = Field(default_factory=dict)


class Serving(Value):
    """How a model is to answer, the same for a stream, a job and a trigger.

    `gpus` are those of each replica; on inf1 and inf2 its NeuronCores, 0 for all of its machine.
    """

    bundle: Bundle | None = None
    custom_code: CustomCode | None = None
    formatter: FormatterName = "raw"
    formatter_args: dict[str, Any] = Field(default_factory=dict)
    decoder: DecoderName = "pillow"
    padding: Padding | None = None
    device: DeviceName = "cpu"
    gpus: int = 0


class Former(Value):
    """What a stream answered with before its latest update.

    It goes on answering until the new one can, which is at `left_at`; then it drains.
    """

    model_id: int
    serving: Serving
    revision: int
    left_at: float | None = None


class Stream(NumberedRecord):
    """One deployment of a model that answers requests.

    `replicas` is how many it is to have now; the reconciler moves it between the least and the most
    so that each has about `target_in_flight` requests in flight. Given alone, it is fixed.
    `edition` counts what callers have changed; `revision` is the one since which it answers with
    this model and serving.
    """

    kind: ClassVar[str] = "stream"
    model_id: int
    serving: Serving
    replicas: int = 1
    min_replicas: int = 1
    max_replicas: int = 1
    target_in_flight: int = TARGET_IN_FLIGHT
    edition: int = 1
    revision: int = 1
    former: Former | None = None
    status: StreamStatus = "Deploying"
    failure: Failure | None = None
    created_at: float
    updated_at: float

    @model_validator(mode="before")
    @classmethod
    def _is_fixed_unless_told(cls, fields: Any) -> Any:
        if isinstance(fields, dict) and "replicas" in fields and "max_replicas" not in fields:
            count = fields["replicas"]
            return {"min_replicas": count, "max_replicas": count, **fields}
        return fields

    @property
    def group(self) -> str:
        """The name of its processes in the fleet."""
        return group_of(self.id, self.revision)

    @property
    def former_group(self) -> str:
        """The name of the processes that it had before its update; empty without one."""
        return group_of(self.id, self.former.revision) if self.former else ""

    @property
    def groups(self) -> tuple[str, ...]:
        """Every group that the fleet may have of it."""
        return (self.group, self.former_group) if self.former else (self.group,)

    def answers_of(self, group: str) -> tuple[int, Serving] | None:
        """The model and the serving of the processes of a group; None when it is not its own."""
        if group == self.group:
            return self.model_id, self.serving
        if self.former and group == self.former_group:
            return self.former.model_id, self.former.serving
        return None

    @property
    def is_elastic(self) -> bool:
        """Whether the number of its replicas follows its load."""
        return self.min_replicas < self.max_replicas


class Replica(Record):
    """A process of a stream that can take requests: the gateway's routing table."""

    kind: ClassVar[str] = "replica"
    stream_id: int
    process_id: str
    address: str
    started_at: float

    @property
    def key(self) -> str:
        return f"{number(self.stream_id)}/{self.process_id}"


class Volume(NumberedRecord):
    """A named collection of files. `link` is empty when they were uploaded into hookline."""

    kind: ClassVar[str] = "volume"
    name: str
    link: str = ""
    created_at: float

    @property
    def prefix(self) -> str:
        """Where its uploaded files are among the blobs."""
        return volume_prefix(self.tenant, self.id)


class Job(NumberedRecord):
    """A batch prediction: model × volume → one results CSV.

    `total` and `shards` are known once the manifest is frozen. `only` freezes a job to some keys of
    the volume (a trigger's), listed in the blob of that key. `retry_of` is the job whose failed
    rows this one makes again, and whose others it takes over. With `split` "lines" the records of
    .jsonl, .csv and .parquet files are rows of their own. `notify` is the URL or topic that is told
    its end. `left_out` counts by reason what is in the volume's folder and no input; where nothing
    but a listing can be had, as of a bucket, it is empty.
    """

    kind: ClassVar[str] = "job"
    place: ClassVar[RecordPlace] = "jobs"
    model_id: int
    volume_id: int
    serving: Serving
    status: JobStatus = "Received"
    trigger_id: int | None = None
    only: str = ""
    retry_of: int | None = None
    split: SplitName = "files"
    has_header: bool = False
    output_format: OutputFormat = "csv"
    include: tuple[OutputColumn, ...] = ()
    joins_input: bool = False
    notify: str = ""
    total: int = 0
    left_out: dict[str, int] = Field(default_factory=dict)
    shards: int = 0
    succeeded: int = 0
    failed: int = 0
    results_key: str = ""
    results_sha256: str = ""
    results_size_bytes: int = 0
    failure: Failure | None = None
    created_at: float
    updated_at: float

    @property
    def prefix(self) -> str:
        return f"{self.tenant}/jobs/{self.id}"

    @property
    def has_ended(self) -> bool:
        return self.status in JOB_ENDS


class Notice(Record):
    """How far it is known that a job has ended. `answer` says why the last attempt failed."""

    kind: ClassVar[str] = "notice"
    job_id: int
    status: NoticeStatus = "pending"
    attempts: int = 0
    answer: str = ""
    updated_at: float

    @property
    def key(self) -> str:
        return number(self.job_id)


class Shard(Record):
    """A contiguous slice of a job's manifest. Done once its part is written.

    `attempt` fences: it grows whenever a worker takes the shard.
    """

    kind: ClassVar[str] = "shard"
    place: ClassVar[RecordPlace] = "jobs"
    job_id: int
    index: int
    first: int
    count: int
    attempt: int = 0
    is_done: bool = False
    succeeded: int = 0
    failed: int = 0

    @property
    def key(self) -> str:
        return f"{number(self.job_id)}/{number(self.index)}"

    @property
    def manifest_key(self) -> str:
        return f"{self.tenant}/jobs/{self.job_id}/manifest/{self.index:08d}.jsonl"

    @property
    def part_key(self) -> str:
        return f"{self.tenant}/jobs/{self.job_id}/parts/{self.index:08d}.jsonl"


class Tenant(Record):
    """A group that shares models and resources; every tenant is listed here."""

    kind: ClassVar[str] = "tenant"
    tenant: str = PLATFORM
    name: str
    created_at: float

    @property
    def key(self) -> str:
        return self.name


class User(Record):
    """A person in a tenant."""

    kind: ClassVar[str] = "user"
    name: str
    role: Role
    created_at: float

    @property
    def key(self) -> str:
        return self.name


class Credential(Record):
    """A secret that someone holds: only its SHA-256 is stored, as the key.

    A key (`stream_id` None) speaks for `user` of `owner`; a presigned token predicts on one stream.
    `label` is the first characters of a key, so that its owner can tell it from others.
    """

    kind: ClassVar[str] = "credential"
    tenant: str = PLATFORM
    sha256: str
    owner: str
    user: str = ""
    role: Role = "user"
    stream_id: int | None = None
    label: str = ""
    created_at: float
    expires_at: float | None = None

    @property
    def key(self) -> str:
        return self.sha256


def upload_key(tenant: str, sha256: str) -> str:
    """Where an uploaded file is, a model's or a bundle's; its name is its content."""
    return f"{tenant}/uploads/{sha256}"


def volume_prefix(tenant: str, volume_id: int) -> str:
    """Where a volume's uploaded files are among the blobs, with the closing slash."""
    return f"{tenant}/volumes/{volume_id}/"
