"""The fetched models on this machine's disk: so many bytes of them, those that were used last.

Who uses a model leaves a mark, a link to its own folder, before it asks whether the model is there.
What somebody's folder still stands for is never removed; the mark of one who died is worthless as
soon as the folder is gone.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

log = logging.getLogger(__name__)

GB = 10**9
CACHE_BYTES = 10 * GB  # a task on Fargate has 20 GiB of disk, its image included

_FILE = "file"


@dataclass(frozen=True, slots=True)
class ModelCache:
    """Folders of one file each, named by its SHA-256, below `folder`."""

    folder: Path
    most_bytes: int = CACHE_BYTES

    def file(
        self, sha256: str, size_bytes: int, user: Path, fetched: Callable[[Path], Path]
    ) -> Path:
        """The file of that name, which stays as long as the folder `user`.

        `fetched` gets the folder that is to have it and returns it once it is there. Room for
        `size_bytes` is made before; where others use too much, it is fetched all the same.
        """
        folder = self.folder.absolute()
        target = folder / sha256
        with _alone(folder):
            (_marks(folder, sha256) / uuid4().hex).symlink_to(user.absolute())
            if target.is_dir():
                os.utime(target)
            else:
                self._make_room(folder, size_bytes)
        return fetched(target) / _FILE

    def _make_room(self, folder: Path, size_bytes: int) -> None:
        """Remove what was used longest ago, until `size_bytes` more would fit."""
        models = sorted(_models(folder), key=lambda model: model.used_at)
        excess_bytes = sum(model.size_bytes for model in models) + size_bytes - self.most_bytes
        for model in models:
            if excess_bytes <= 0:
                return
            if not _is_used(folder, model.path.name):
                shutil.rmtree(model.path)
                excess_bytes -= model.size_bytes
                log.info("model_forgotten", extra={"size_bytes": model.size_bytes})
        if excess_bytes > 0:
            log.warning("model_cache_full", extra={"excess_bytes": excess_bytes})


@dataclass(frozen=True, slots=True)
class _Model:
    path: Path
    size_bytes: int
    used_at: float


def _models(folder: Path) -> Iterator[_Model]:
    for path in folder.iterdir():
        if not path.name.startswith(".") and path.is_dir():
            size_bytes = (path / _FILE).stat().st_size
            yield _Model(path, size_bytes, path.stat().st_mtime)


def _marks(folder: Path, sha256: str) -> Path:
    """The folder of the marks of those who use a model."""
    marks = folder / ".users" / sha256
    marks.mkdir(parents=True, exist_ok=True)
    return marks


def _is_used(folder: Path, sha256: str) -> bool:
    """Whether a mark of someone still stands; those that do not are removed."""
    marks = list(_marks(folder, sha256).iterdir())
    for mark in marks:
        if not mark.exists():
            mark.unlink()
    return any(mark.is_symlink() for mark in marks)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Nobody else marks or removes meanwhile: not for long, as nothing is fetched."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
