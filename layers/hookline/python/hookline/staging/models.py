"""The file of a model on this machine: where it lies, or fetched once and checked."""

from __future__ import annotations

import time
from functools import partial
from hashlib import sha256
from pathlib import Path

from hookline.adapters.machine.fetched import built_once
from hookline.core.errors import DeadlineExceeded, ModelLoadFailed, NotFound
from hookline.core.models import Model
from hookline.core.ports import Blobs
from hookline.staging.cache import ModelCache
from hookline.staging.volumes import local_path

FETCH_TIMEOUT_S = 1800.0  # how long one process waits for another that fetches the same file

_CHUNK_BYTES = 1 << 20
_HINT = "Import the model again."


def model_file(blobs: Blobs, model: Model, cache: ModelCache, user: Path) -> Path:
    """The path of the model's file. `cache` keeps what is fetched, while the folder `user` exists.

    Raise NotFound when it is gone, ModelLoadFailed when it is not the one that was imported.
    """
    uri = blobs.uri(model.blob_key)
    if not uri.startswith("file:"):
        fetched = partial(_fetched, blobs, model)
        return cache.file(model.sha256, model.size_bytes, user, fetched)
    path = local_path(uri)  # this machine's own disk: the file is mapped where it lies
    if not path.is_file():
        raise _gone(model)
    return path


def _fetched(blobs: Blobs, model: Model, target: Path) -> Path:
    late = DeadlineExceeded(
        f"Fetching the file of model {model.id} took too long.", hint="Try again."
    )
    deadline = time.monotonic() + FETCH_TIMEOUT_S
    build = partial(_fetch, blobs, model)
    return built_once(target, build, deadline=deadline, late=late)


def _fetch(blobs: Blobs, model: Model, work: Path) -> Path:
    """Copy and check it in `work`: only what was imported gets its name."""
    folder, found = work / "model", sha256()
    folder.mkdir()
    try:
        with blobs.open(model.blob_key) as file, (folder / "file").open("xb") as copy:
            while chunk := file.read(_CHUNK_BYTES):
                found.update(chunk)
                copy.write(chunk)
    except NotFound as error:
        raise _gone(model) from error
    if found.hexdigest() != model.sha256:
        raise ModelLoadFailed(
            f"The file of model {model.id} is not the one that was imported.",
            why="Its SHA-256 is another.",
            hint=_HINT,
        )
    return folder


def _gone(model: Model) -> NotFound:
    return NotFound(f"The file of model {model.id} is gone.", hint=_HINT)
