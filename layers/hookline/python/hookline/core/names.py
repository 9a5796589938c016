"""What a file's name says about its content.

The table is ours: the machine's own MIME database differs from one machine to the next, and the
same file must be read the same way everywhere.
"""

from __future__ import annotations

from pathlib import PurePosixPath

OCTET_STREAM = "application/octet-stream"

_MIME_TYPES = {
    ".bmp": "image/bmp",
    ".csv": "text/csv",
    ".gif": "image/gif",
    ".jfif": "image/jpeg",
    ".jpe": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".json": "application/json",
    ".npy": "application/x-npy",
    ".png": "image/png",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".txt": "text/plain",
    ".wav": "audio/wav",
    ".webp": "image/webp",
}

_RECORD_TYPES = {
    ".jsonl": "application/json",
    ".csv": "text/csv",
    ".parquet": "application/json",
}


def mime_type_of(name: str) -> str:
    """The MIME type of a file called `name`; OCTET_STREAM when its name says nothing."""
    return _MIME_TYPES.get(PurePosixPath(name).suffix.lower(), OCTET_STREAM)


def is_hidden(name: str) -> bool:
    """Whether a file, or a folder that it is in, has a name with a leading dot: it is no input."""
    return name.startswith(".") or "/." in name


def records_suffix_of(name: str) -> str:
    """The ending that says that a file has records; "" for any other file."""
    return next((suffix for suffix in _RECORD_TYPES if name.lower().endswith(suffix)), "")


def record_type_of(name: str) -> str:
    """The MIME type of a record of the file called `name`; OCTET_STREAM if it has none."""
    return _RECORD_TYPES.get(records_suffix_of(name), OCTET_STREAM)
