"""Files of volumes that are far away, which stay on a worker's disk from one job to the next.

What is kept is worth no more than the worker's memory of it: the index, with the hash of every
file, is there alone, and files that are no longer what was written are read from the volume anew.
So hooks that could write to this disk can spoil nothing, and each worker begins with an empty one.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import shutil
import threading
from collections import OrderedDict
from itertools import count
from pathlib import Path
from typing import NamedTuple

log = logging.getLogger(__name__)


class Version(NamedTuple):
    """A file as it was: one that changes gets another etag."""

    uri: str
    etag: str


class _File(NamedTuple):
    path: Path
    size_bytes: int
    digest: bytes


class Inputs:
    """At most `most_bytes` below `folder`, which is emptied first: what was used last. Thread-safe.

    Nothing here raises: a disk that is full or broken only makes a worker read more.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder, self._most_bytes = folder, most_bytes
        self._files: OrderedDict[Version, _File] = OrderedDict()
        self._bytes = 0
        self._names = count()
        self._lock = threading.Lock()
        shutil.rmtree(folder, ignore_errors=True)

    def get(self, version: Version) -> bytes | None:
        """The content as it was put, or None."""
        with self._lock:
            file = self._files.get(version)
            if file is None:
                return None
            self._files.move_to_end(version)
        try:
            body = file.path.read_bytes()
        except OSError:  # it had to make room just now, or somebody removed it
            return None
        return body if _digest(body) == file.digest else None

    def put(self, version: Version, body: bytes) -> None:
        """Keep the content, if there is room or room can be made."""
        if len(body) > self._most_bytes:
            return
        with self._lock:
            path = self._folder / str(next(self._names))
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.write_bytes(body)
        except OSError as error:
            log.warning("input_not_kept", extra={"why": error.strerror})
            _remove(path)
            return
        with self._lock:
            gone = self._noted(version, _File(path, len(body), _digest(body)))
        for file in gone:
            _remove(file.path)

    def _noted(self, version: Version, file: _File) -> list[_File]:
        """Add it to the index; what has to go for it."""
        before = self._files.pop(version, None)
        self._files[version] = file
        gone = [before] if before else []
        self._bytes += file.size_bytes - sum(one.size_bytes for one in gone)
        while self._bytes > self._most_bytes:
            _, oldest = self._files.popitem(last=False)
            self._bytes -= oldest.size_bytes
            gone.append(oldest)
        return gone


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()
