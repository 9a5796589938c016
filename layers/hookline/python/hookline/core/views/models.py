"""What the HTTP API answers of models."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from hookline.core.models import (
    Compilation,
    Conversion,
    Model,
    ModelStatus,
    Preparation,
    TensorSpec,
    Variant,
)
from hookline.core.views.view import RequestView, View


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
