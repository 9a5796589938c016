"""A model as it is stored, and what is known of it: its tensors, its origin, its accuracy."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from hookline.core.records import NumberedRecord, Value, upload_key

ModelStatus = Literal["Ready", "Failed"]
Precision = Literal["fp32", "fp16", "bf16", "int8", "int4", "mixed"]
ModelFormat = Literal["onnx", "torchscript", "pt2", "neuron"]
NeuronDevice = Literal["inf1", "inf2"]


class TensorSpec(Value):
    """One input or output of a model. A variable dimension is -1. dtype: numpy's name, or string.

    `shape` includes the batch axis.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]


class Preparation(Value):
    """How canned image input becomes a tensor, where the model says more than its shape.

    (pixel * scale - mean) / std per channel, in the model's channel order.
    """

    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    scale: float = 1.0
    layout: Literal["", "NCHW", "NHWC"] = ""


class Conversion(Value):
    """What a model was made from, with what, and how far its answers are from the original's.

    `max_difference` is the largest over `cases` inputs; None where there was nothing to run.
    """

    source: str
    tool: str = ""
    max_difference: float | None = None
    cases: int = 0


class Accuracy(Value):
    """How near the answers of a variant are to those of the model it was made from.

    `agreement` is the share of `examples` where both say the same: the same class first, or, where
    the answers are no `scores` of classes, values that differ by at most 1 % of their spread.
    `top_k_agreement`: the original's first class is among the first `top_k` of the variant.
    Accuracies are of the variant and of the original where the truth was known. `speed_up` is of
    batches of `batch_items`, run in turns in one process.
    """

    data: Literal["random", "files"] = "files"
    answers: Literal["scores", "values"] = "scores"
    examples: int
    skipped: int = 0
    agreement: float
    min_agreement: float
    top_k: int = 1
    top_k_agreement: float | None = None
    accuracy: float | None = None
    original_accuracy: float | None = None
    top_k_accuracy: float | None = None
    original_top_k_accuracy: float | None = None
    largest_error: float
    mean_error: float
    speed_up: float
    batch_items: int
    size_bytes: int
    original_size_bytes: int


class Variant(Value):
    """What precision a model computes in, made from `parent_id` (or another file) by `method`."""

    precision: Precision
    method: str = ""
    parent_id: int | None = None
    accuracy: Accuracy


class Compilation(Value):
    """What a model was compiled for, and of which model. A process of it needs `cores` in a row.

    `on_cpu` counts the operators that the compiler left to the CPU.
    """

    target: NeuronDevice
    cores: int = 1
    is_pipeline: bool = False
    precision: str = ""
    compiler: str = ""
    model_id: int | None = None
    on_cpu: dict[str, int] = Field(default_factory=dict)


class Model(NumberedRecord):
    """An imported, immutable artifact."""

    kind: ClassVar[str] = "model"
    name: str
    format: ModelFormat
    sha256: str
    size_bytes: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    labels: tuple[str, ...] = ()
    preparation: Preparation = Field(default_factory=Preparation)
    conversion: Conversion | None = None
    variant: Variant | None = None
    compilation: Compilation | None = None
    status: ModelStatus = "Ready"
    created_at: float

    @property
    def blob_key(self) -> str:
        return upload_key(self.tenant, self.sha256)

    @property
    def is_accurate(self) -> bool:
        """Whether it answers as often like its original as was asked for."""
        found = self.variant.accuracy if self.variant else None
        return found is None or found.agreement >= found.min_agreement
