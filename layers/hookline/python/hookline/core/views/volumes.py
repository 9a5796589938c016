"""What the HTTP API answers of volumes and their files."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self

from hookline.core.ports import BlobInfo
from hookline.core.records import Volume
from hookline.core.views.view import RequestView, View


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
    """A volume with what is in it; dotfiles are no inputs, and counted apart."""

    total_files: int
    size_bytes: int
    dotfiles: int


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
