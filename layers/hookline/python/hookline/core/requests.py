"""What callers send to the HTTP API. Fields that are not listed are refused."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from hookline.core.limits import (
    FILE_NAME,
    MAX_BUCKET,
    MAX_BUCKETS,
    MAX_BURST_FILES,
    MAX_CORES,
    MAX_FILE_NAME_CHARS,
    MAX_IN_FLIGHT,
    MAX_NAME_CHARS,
    MAX_REPLICAS,
    MAX_SETTLE_S,
    MAX_SUFFIX_CHARS,
    MAX_SUFFIXES,
    MAX_TARGET_CHARS,
    MAX_UPLOAD_BYTES,
    MAX_UPLOADS,
    MAX_WAIT_S,
    NAME,
    SHA256,
    SUFFIX,
    USER_NAME,
)
from hookline.core.models import ModelFormat, NeuronDevice, Precision
from hookline.core.records import (
    DecoderName,
    DeviceName,
    FormatterName,
    OutputColumn,
    OutputFormat,
    Role,
    SplitName,
)
from hookline.core.triggers import Gathering

Sha256 = Annotated[str, StringConstraints(pattern=SHA256)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME_CHARS, pattern=NAME)]
DType = Literal[
    "bool",
    "float16",
    "float32",
    "float64",
    "int8",
    "int16",
    "int32",
    "int64",
    "string",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
]
UserName = Annotated[str, StringConstraints(pattern=USER_NAME)]
BucketSize = Annotated[int, Field(ge=1, le=MAX_BUCKET)]
Suffix = Annotated[
    str, StringConstraints(min_length=1, max_length=MAX_SUFFIX_CHARS, pattern=SUFFIX)
]
FileName = Annotated[str, StringConstraints(max_length=MAX_FILE_NAME_CHARS, pattern=FILE_NAME)]
Target = Annotated[str, StringConstraints(max_length=MAX_TARGET_CHARS)]
FileSize = Annotated[int, Field(ge=0, le=MAX_UPLOAD_BYTES)]


class Body(BaseModel):
    """The JSON object of a request."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)


class NewUpload(Body):
    """A file that will become a model or a bundle, known by its content."""

    sha256: Sha256
    size_bytes: FileSize


class PreparationFields(Body):
    """How canned image input becomes a tensor: (pixel * scale - mean) / std per channel."""

    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    scale: float = 1.0
    layout: Literal["", "NCHW", "NHWC"] = ""


class TensorFields(Body):
    """An input or output, batch axis included. A variable dimension is -1."""

    name: Name
    dtype: DType
    shape: Annotated[tuple[Annotated[int, Field(ge=-1)], ...], Field(max_length=64)]


class ConversionFields(Body):
    """What the file was made from, with what, and how far its answers are from the original's."""

    source: Name
    tool: Annotated[str, Field(max_length=200)] = ""
    max_difference: Annotated[float, Field(ge=0)] | None = None
    cases: Annotated[int, Field(ge=0)] = 0


Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]


class AccuracyFields(Body):
    """How near a variant's answers are to its original's; see `records.Accuracy`."""

    data: Literal["random", "files"] = "files"
    answers: Literal["scores", "values"] = "scores"
    examples: Annotated[int, Field(ge=1)]
    skipped: Count = 0
    agreement: Share
    min_agreement: Share
    top_k: Annotated[int, Field(ge=1)] = 1
    top_k_agreement: Share | None = None
    accuracy: Share | None = None
    original_accuracy: Share | None = None
    top_k_accuracy: Share | None = None
    original_top_k_accuracy: Share | None = None
    largest_error: Annotated[float, Field(ge=0)]
    mean_error: Annotated[float, Field(ge=0)]
    speed_up: Annotated[float, Field(gt=0)]
    batch_items: Annotated[int, Field(ge=1)]
    size_bytes: Count
    original_size_bytes: Count


class VariantFields(Body):
    """The precision that the file computes in, and how it compares with what it was made from."""

    precision: Precision
    method: Annotated[str, Field(max_length=200)] = ""
    parent_id: Annotated[int, Field(ge=1)] | None = None
    accuracy: AccuracyFields


class CompilationFields(Body):
    """What the file was compiled for, and of which model; see `models.Compilation`."""

    target: NeuronDevice
    cores: Annotated[int, Field(ge=1, le=MAX_CORES)] = 1
    is_pipeline: bool = False
    precision: Annotated[str, Field(max_length=20)] = ""
    compiler: Annotated[str, Field(max_length=200)] = ""
    model_id: Annotated[int, Field(ge=1)] | None = None
    on_cpu: Annotated[dict[Name, Annotated[int, Field(ge=0)]], Field(max_length=1000)] = Field(
        default_factory=dict
    )


class NewModel(Body):
    """An uploaded file to import. What is not given is read from the file.

    `input_shape` fixes the variable dimensions of the first input, with or without the batch axis.
    The files of PyTorch do not say what they take and give: `inputs` and `outputs` do.
    """

    name: Name
    sha256: Sha256
    labels: Annotated[tuple[str, ...], Field(max_length=50_000)] | None = None
    preparation: PreparationFields | None = None
    input_shape: Annotated[tuple[int, ...], Field(min_length=1, max_length=16)] | None = None
    format: ModelFormat = "onnx"
    inputs: Annotated[tuple[TensorFields, ...], Field(max_length=1000)] = ()
    outputs: Annotated[tuple[TensorFields, ...], Field(max_length=1000)] = ()
    conversion: ConversionFields | None = None
    variant: VariantFields | None = None
    compilation: CompilationFields | None = None


class BundleFields(Body):
    """The user's hook files: an uploaded file or zip, or the id of a volume."""

    sha256: Sha256 | None = None
    filename: Name | None = None
    volume_id: int | None = None

    @model_validator(mode="after")
    def _is_one_of_two(self) -> Self:
        is_upload = self.sha256 is not None and self.filename is not None
        is_half_upload = self.sha256 is not None or self.filename is not None
        if is_upload == (self.volume_id is not None) or is_half_upload != is_upload:
            raise ValueError("give either sha256 and filename, or volume_id")
        return self


class CustomCodeFields(Body):
    """A git repository by its https URL, at a commit, branch or tag, or its default branch."""

    url: str
    commit: str = ""


class PaddingFields(Body):
    """Sizes to which a variable axis of inputs is padded; see `records.Padding`."""

    buckets: Annotated[tuple[BucketSize, ...], Field(min_length=1, max_length=MAX_BUCKETS)]
    axis: Annotated[str, StringConstraints(max_length=200)] = ""
    values: Annotated[dict[str, float], Field(max_length=1000)] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _ascends(self) -> Self:
        if list(self.buckets) != sorted(set(self.buckets)):
            raise ValueError("buckets ascend, as 16, 32, 64 do")
        return self


class ServingFields(Body):
    """How a model is to answer. `gpus` alone means the gpu device.

    On inf1 and inf2 they are the NeuronCores of each replica, 0 for all of its machine.
    """

    bundle: BundleFields | None = None
    custom_code: CustomCodeFields | None = None
    formatter: FormatterName = "raw"
    formatter_args: dict[str, Any] = Field(default_factory=dict)
    decoder: DecoderName = "pillow"
    padding: PaddingFields | None = None
    device: DeviceName | None = None
    gpus: Annotated[int, Field(ge=0, le=MAX_CORES)] = 0


class ScaleFields(Body):
    """How many replicas: always as many, or from the least to the most as the load asks."""

    replicas: Annotated[int, Field(ge=1, le=MAX_REPLICAS)] | None = None
    min_replicas: Annotated[int, Field(ge=0, le=MAX_REPLICAS)] | None = None
    max_replicas: Annotated[int, Field(ge=1, le=MAX_REPLICAS)] | None = None
    target_in_flight: Annotated[int, Field(ge=1, le=MAX_IN_FLIGHT)] | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.replicas is not None and (self.min_replicas, self.max_replicas) != (None, None):
            raise ValueError("give either replicas, or min_replicas and max_replicas")
        if (self.min_replicas or 0) > (self.max_replicas or MAX_REPLICAS):
            raise ValueError("min_replicas is at most max_replicas")
        return self

    def bounds(self, least: int = 1, most: int = 1) -> tuple[int, int]:
        """The least and the most replicas, where the arguments are what holds unless given."""
        if self.replicas is not None:
            return self.replicas, self.replicas
        low = least if self.min_replicas is None else self.min_replicas
        high = most if self.max_replicas is None else self.max_replicas
        if self.max_replicas is None:
            return low, max(low, high)
        return min(low, high), high


class NewStream(ServingFields, ScaleFields):
    """A model to deploy; with `force` also one that is not accurate enough."""

    model_id: int
    force: bool = False


class StreamChanges(ScaleFields):
    """What is to be different about a stream; what is not given stays. A null takes code away."""

    model_id: int | None = None
    force: bool = False
    bundle: BundleFields | None = None
    custom_code: CustomCodeFields | None = None
    formatter: FormatterName | None = None
    formatter_args: dict[str, Any] | None = None
    decoder: DecoderName | None = None
    padding: PaddingFields | None = None
    device: DeviceName | None = None
    gpus: Annotated[int, Field(ge=0, le=MAX_CORES)] | None = None


class NewVolume(Body):
    """A volume to upload into, or to link: `file:///…`, an absolute path, or `s3://…`."""

    name: Name
    link: Annotated[str, StringConstraints(max_length=4096)] = ""


class NewFile(Body):
    """A file to upload into a volume. Its name may have folders: `cats/1.png`."""

    name: str
    size_bytes: int


class NewFiles(Body):
    """Files to upload into a volume."""

    files: Annotated[tuple[NewFile, ...], Field(min_length=1, max_length=MAX_UPLOADS)]


class WantedFiles(Body):
    """Files of a volume to download, by their names."""

    names: Annotated[tuple[str, ...], Field(min_length=1, max_length=MAX_UPLOADS)]


class GatheringFields(Body):
    """When the files that land become a job, and which of them; see `triggers.Gathering`."""

    settle_s: Annotated[int, Field(ge=0, le=MAX_SETTLE_S)] = 0
    max_wait_s: Annotated[int, Field(ge=1, le=MAX_WAIT_S)] | None = None
    max_files: Annotated[int, Field(ge=1, le=MAX_BURST_FILES)] = 1000
    suffixes: Annotated[tuple[Suffix, ...], Field(max_length=MAX_SUFFIXES)] = ()
    marker: FileName = ""
    manifest: FileName = ""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.marker and self.manifest:
            raise ValueError("give either marker or manifest")
        if (self.marker or self.manifest).startswith("."):
            raise ValueError("a marker or manifest is no dotfile: those are left out everywhere")
        if (self.marker or self.manifest) and (self.settle_s or self.max_wait_s is not None):
            raise ValueError(
                "settle_s and max_wait_s are for jobs that no marker or manifest begins"
            )
        if self.max_wait_s is not None and self.max_wait_s < self.settle_s:
            raise ValueError("max_wait_s is at least settle_s")
        return self

    def gathering(self) -> Gathering:
        """What to store; `max_wait_s` is ten times as long as `settle_s` unless given."""
        most_s = min(10 * self.settle_s, MAX_WAIT_S)
        return Gathering(
            settle_s=self.settle_s,
            max_wait_s=(most_s if self.max_wait_s is None else self.max_wait_s),
            max_files=self.max_files,
            suffixes=tuple(sorted({suffix.lower() for suffix in self.suffixes})),
            marker=self.marker,
            manifest=self.manifest,
        )


class NewTrigger(ServingFields, GatheringFields):
    """Predict with this model what lands in the volume; `force` as for a stream.

    `notify` is told the end of each job.
    """

    model_id: int
    force: bool = False
    notify: Target = ""


class NewJob(ServingFields):
    """A batch prediction to run; `force` as for a stream.

    `split` "lines" makes a row of every record of a .jsonl, .csv or .parquet file; `has_header`
    says that the first record of a .csv is none. `include` adds columns; `joins_input` adds the
    record itself.
    `notify`, a URL or a topic, is told its end.
    """

    model_id: int
    volume_id: int
    force: bool = False
    notify: Target = ""
    split: SplitName = "files"
    has_header: bool = False
    output_format: OutputFormat = "csv"
    include: tuple[OutputColumn, ...] = ()
    joins_input: bool = False

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.split == "files" and (self.has_header or self.joins_input):
            raise ValueError("has_header and joins_input are for split: lines")
        return self


class NewRetry(ServingFields):
    """The failed rows of a job to make again. What is not given is as it was for that job."""


class NewUser(Body):
    """A person to let in."""

    name: UserName
    role: Role = "user"


class NewKey(Body):
    """A key to make, for the caller when no user is named."""

    user: UserName | None = None
